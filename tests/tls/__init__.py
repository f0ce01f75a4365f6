"""Tests of certificates and of the connections they are shown on."""
