"""Tests of crproxy.login."""
