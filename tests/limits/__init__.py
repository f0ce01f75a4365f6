"""Tests of what clients and upstreams may use."""
