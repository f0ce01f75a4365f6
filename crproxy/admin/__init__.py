"""The operator's side: the crproxy command."""
