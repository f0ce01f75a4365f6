"""Tests of the ACME client, in memory."""
