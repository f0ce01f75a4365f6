"""The one place where policy, upstream and store meet: a typed request in, a reply out."""

from .pullthrough import PullThrough
from .reply import Asked, Body, Content, Reply, Unsent

__all__ = ["Asked", "Body", "Content", "PullThrough", "Reply", "Unsent"]
