"""Commands that try for longer than a test may what must never happen."""
