"""Who has signed an image, by what cosign keeps beside it: pure, apart from `keyless`, which has a library do it.

Everything that is read here was written by strangers: what is wrong with it is a `NotSigned`, and nothing else.
"""

from .refusal import NotSigned
from .trust import Identity, Trust

__all__ = ["Identity", "NotSigned", "Trust"]
