"""Whose leave some stored content takes.

A client that asks with its own credentials needs upstream's leave for each thing, each time: what another's credentials
brought here is none of its business, and its own right may have ended.
"""

from __future__ import annotations

from ..oci.digests import Digest
from ..store.entries import View
from ..store.store import Store

__all__ = ["has_right", "widest"]


def widest(store: Store, view: View, digest: Digest) -> View:
    """Return the view that ``digest`` is served through: anybody's, where a client has asked for what anybody has."""
    if view.caller is None:
        return view
    anybodys = View(view.repository)
    is_here = store.size(anybodys.entry(digest)) is not None
    return anybodys if is_here and has_right(store, anybodys, digest) else view


def has_right(store: Store, view: View, digest: Digest) -> bool:
    """Tell whether ``digest`` may be served through ``view`` without asking upstream."""
    return view.caller is None and store.index.linked(view, digest) is not None
