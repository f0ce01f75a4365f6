"""What a registry may answer that means ill, or is broken: right answers, bent.

All of it comes out of one ``Random``, so that a seed repeats it. Nothing here knows a socket.
"""

from .asked import Asked
from .goods import Goods
from .plans import Plan, make_plan, make_sound_plan
from .steps import End, Step

__all__ = ["Asked", "End", "Goods", "Plan", "Step", "make_plan", "make_sound_plan"]
