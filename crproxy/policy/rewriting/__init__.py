"""A whole file in, the same file out with its images' names leading to this proxy: nothing else of it changes."""

from .file_text import NotText, decode
from .renaming import Renaming
from .rewriting import Change, Kept, Rewriting, TooMany, rewrite

__all__ = ["Change", "Kept", "NotText", "Renaming", "Rewriting", "TooMany", "decode", "rewrite"]
