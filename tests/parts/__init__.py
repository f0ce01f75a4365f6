"""What tests are made of: real registries and clients, a scriptable upstream, and the daemon itself.

Nothing here uses Twisted: a fault of Twisted's must not hide on both ends of a connection.
"""
