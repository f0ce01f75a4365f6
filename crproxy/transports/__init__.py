"""Connections: bytes between a socket and whoever speaks on it, in the clear or in TLS, with few copies.

Knows sockets, TLS and Twisted's reactor; knows nothing of what is said. See docs/decisions/0016-transports.md.
"""
