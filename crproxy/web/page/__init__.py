"""The page that people see in a browser: what to type for an image here. Its texts, its looks, and its answers."""

from .page import PageResource
from .proxied import Authority, ReadAuthorities
from .state import Certificate, Fleet, Node, ReadState, State, Storage, Upstream

__all__ = [
    "Authority",
    "Certificate",
    "Fleet",
    "Node",
    "PageResource",
    "ReadAuthorities",
    "ReadState",
    "State",
    "Storage",
    "Upstream",
]
