"""Clients' login: who a client is, by a password or a token, and what it gets for it."""

from .authentication import TOKEN_PATH, AuthRequest, Identity, IssuedToken, Target
from .login import Login

__all__ = ["TOKEN_PATH", "AuthRequest", "Identity", "IssuedToken", "Login", "Target"]
