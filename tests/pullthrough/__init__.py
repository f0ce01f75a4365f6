"""Tests of crproxy.pullthrough."""
