"""The way to ask as an HTTP proxy: CONNECT, and certificates for the registries that are answered in their place."""
