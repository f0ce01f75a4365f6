"""The client side: how upstream registries are asked."""
