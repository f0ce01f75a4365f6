"""Tests of the resources, in memory."""
