"""Clients' login: who a client is, by a password or a token, and what it gets for it."""

from .login import Login
from .visits import TOKEN_PATH, Admitted, Granted, Visit, Wanted

__all__ = ["TOKEN_PATH", "Admitted", "Granted", "Login", "Visit", "Wanted"]
