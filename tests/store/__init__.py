"""Tests of crproxy.store."""
