"""Tests of the client side, in memory."""
