"""The daemon put together: a configuration and a reactor in, a Twisted service out."""

from .assembly import make_service
from .caching import CacheService
from .core import make_pullthrough
from .listening import Listener, ListenError
from .supervisor import Supervisor

__all__ = ["CacheService", "ListenError", "Listener", "Supervisor", "make_pullthrough", "make_service"]
