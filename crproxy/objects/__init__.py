"""The second tier: an object store that several nodes have in common."""
