"""What clients and upstreams have used of what they may, and what happens where that is all of it.

Bytes flow slower, requests are answered 429, connections are refused. Nothing here knows of images.
"""

from .accounts import Accounts
from .fills import Fills
from .shaping import Body

__all__ = ["Accounts", "Body", "Fills"]
