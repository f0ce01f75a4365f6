"""Certificates by name, where they come from, and the connections that they are shown on."""
