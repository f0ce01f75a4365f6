"""Decisions, pure: time, addresses and answers are arguments; what is to be done is returned."""
