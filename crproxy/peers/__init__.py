"""Workers among each other: the bytes that one has in memory, for the others.

HTTP on a socket of each worker's, in a directory that nobody else may look into.
"""

from .asking import Asking, socket_of
from .finding import OtherWorkers
from .serving import make_peer_site

__all__ = ["Asking", "OtherWorkers", "make_peer_site", "socket_of"]
