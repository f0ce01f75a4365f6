"""Tests of the running daemon, between real clients and real or scripted registries."""
