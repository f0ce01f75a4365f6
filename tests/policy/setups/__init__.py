"""Tests of the files for clients."""
