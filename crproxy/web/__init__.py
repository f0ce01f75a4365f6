"""Twisted Web resources: thin. They hand a request to policy and pullthrough, and a reply to the client."""
