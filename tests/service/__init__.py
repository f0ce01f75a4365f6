"""Tests of the daemon put together."""
