"""Tests of crproxy.objects."""
