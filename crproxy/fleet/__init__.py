"""What several nodes agree on, and what they give each other: many daemons that act as one.

Nothing here is imported by a daemon that is in no fleet.
"""
