"""Many nodes as one: what each has, and is filling, for the others."""
