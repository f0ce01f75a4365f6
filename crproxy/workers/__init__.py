"""One proxy in several processes: the first starts, watches and replaces the workers, which serve clients.

Nothing else in the house knows of processes.
"""

from .first import make_first

__all__ = ["make_first"]
