"""Clients' login: who a client is, by a password or a token, and what it gets for it."""

from .authentication import TOKEN_PATH, Admitted, Granted, Visit, Wanted
from .login import Login

__all__ = ["TOKEN_PATH", "Admitted", "Granted", "Login", "Visit", "Wanted"]
