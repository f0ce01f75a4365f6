"""The daemon put together: a configuration and a reactor in, a Twisted service out."""
