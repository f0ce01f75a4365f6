"""Who may have which stored bytes, and by what proof.

That bytes are here says nothing: anybody can run a registry, and name any digest. A permission is a link, made when
upstream gave the bytes for a repository, with one credential. What a manifest refers to is none. The whole table is in
docs/decisions/0004-private-content.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry, Repository
from ..policy.freshness import Lifetimes, may_serve_stale, permission_counts, warning
from ..policy.proofs import Proof
from ..policy.refusals import Unconfirmed
from ..store.entries import View
from ..store.index import Link
from ..store.store import Store
from .lasting import Lasting

__all__ = ["Permissions", "Rules"]


class Rules(Protocol):
    """What the configuration that counts now says of who may have what."""

    def credential(self, registry: Registry) -> str:
        """Return what names the proxy's own credential for ``registry``; empty where it is asked anonymously."""

    def is_open(self, repository: Repository) -> bool:
        """Tell whether every client may pull from ``repository``, which its registry is asked for anonymously."""

    def may_share(self, registry: Registry) -> bool:
        """Tell whether who is let in at ``registry`` may have what other registries gave to everybody."""


class Permissions:
    """Decides by the index what may be served.

    Arguments:
        store: what is kept.
        rules: returns those that count now.
        lifetimes: how long a permission counts.
        now: seconds since the epoch.
    """

    def __init__(
        self, store: Store, rules: Callable[[], Rules], lifetimes: Lifetimes, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._index = store.index
        self._rules = rules
        self._lifetimes = lifetimes
        self._now = now

    def view(self, repository: Repository, caller: str | None = None) -> View:
        """Return how ``repository`` is seen, with a client's own Authorization (``caller``) or without."""
        return View(repository, "" if caller is not None else self._rules().credential(repository.registry), caller)

    def widest(self, view: View, digest: Digest) -> View:
        """Return the view that ``digest`` is served through: anybody's, where a client asked for what anybody has."""
        if view.caller is None:
            return view
        anybodys = View(view.repository)
        is_given = self.link(anybodys, digest) is not None
        return anybodys if is_given and self._store.size(anybodys.entry(digest)) is not None else view

    def link(self, view: View, digest: Digest) -> Link | None:
        """Return the permission of ``view`` itself, if it counts now. A client's own never does: it is asked for."""
        if view.caller is not None:
            return None
        link = self._index.linked(view, digest)
        return link if link is not None and self._counts(view, link) else None

    def lasting(self, confirm: Callable[[], float | None]) -> Lasting:
        """Return what tells whether an answer that rests on the index would be given again (see `Lasting`)."""
        return Lasting(self._index.version, confirm, self._now)

    def given_until(self, view: View, digest: Digest) -> float | None:
        """Return until when stored bytes of a blob are given without a question (see `until`); None: not now."""
        link = self.link(view, digest)
        if link is not None:
            return self.until(view, link)
        return math.inf if self._is_shared(view, digest) else None

    def until(self, view: View, link: Link) -> float:
        """Return until when a permission that counts does so (seconds since the epoch), if nothing happens."""
        return link.confirmed + self._lifetimes.permission_ttl if view.private else math.inf

    def proof(self, view: View, digest: Digest) -> Proof:
        """Return what it takes to serve the stored bytes of a blob through ``view``."""
        if self.given_until(view, digest) is not None:
            return Proof.GIVEN
        return Proof.WORD if self.has_delivered(view, digest) else Proof.BYTES

    def has_delivered(self, view: View, digest: Digest) -> bool:
        """Tell whether the registry of ``view`` has given these bytes before, for any of its repositories."""
        if self._index.has_delivered(view.repository.registry, digest):
            return True
        # What is in a registry's own pool it has given itself, also where the index was lost.
        return view.private and self._store.size(view.entry(digest)) is not None

    def may_join(self, view: View, other: View) -> bool:
        """Tell whether ``view`` may have what is being fetched through ``other`` without a question."""
        rules = self._rules()
        is_open = not (view.private or other.private) and rules.is_open(other.repository)
        return view == other or (is_open and rules.may_share(view.repository.registry))

    def given(self, view: View, digest: Digest, media_type: str | None = None, size: int | None = None) -> None:
        """Note that upstream gave the bytes themselves."""
        self._index.link(view, digest, media_type, size)

    def confirmed(self, view: View, digest: Digest, media_type: str | None = None, size: int | None = None) -> None:
        """Note upstream's word that ``view`` may have the content, if it counts.

        A registry that never gave these bytes proves nothing by saying that it has them.
        """
        if view.caller is not None and self._index.linked(view, digest) is not None:
            return
        if self.has_delivered(view, digest):
            self._index.link(view, digest, media_type, size)

    def refused(self, view: View, error: RegistryError) -> None:
        """Note what upstream's answer takes away.

        What it gave to anybody is no secret afterwards. What it gave to a credential counts no more once that is
        refused anything of the repository.
        """
        is_refused = error.code in (ErrorCode.DENIED, ErrorCode.UNAUTHORIZED) and not isinstance(error, Unconfirmed)
        if view.credential and is_refused:
            self._index.revoke(view)

    def stale(self, view: View, digest: Digest, error: RegistryError) -> tuple[Link, str]:
        """Return a permission that should have been confirmed and could not be, and the Warning to serve it with.

        Raises:
            RegistryError: ``error``, where there is none that may be used.
        """
        link = None if view.caller is not None else self._index.linked(view, digest)
        if link is None or not link.confirmed:
            raise error
        return link, self.warning(view, link.confirmed, error)

    def warning(self, view: View, confirmed: float, error: RegistryError) -> str:
        """Return the Warning with which to serve what was ``confirmed`` for ``view`` then, in seconds since the epoch.

        Raises:
            RegistryError: ``error``, with which it answers now, where that is not to be done.
        """
        age = self._now() - confirmed
        if not may_serve_stale(error, age=age, anonymous=not view.private, lifetimes=self._lifetimes):
            raise error
        return warning(error.message, age)

    def also_through(self, view: View) -> list[View]:
        """Return the views through which ``view`` may have something: what anybody could have is no secret either."""
        return [view, View(view.repository)] if view.private else [view]

    def _counts(self, view: View, link: Link) -> bool:
        return not view.private or permission_counts(link.confirmed, self._now(), self._lifetimes)

    def _is_shared(self, view: View, digest: Digest) -> bool:
        rules = self._rules()
        if view.private or not rules.may_share(view.repository.registry):
            return False
        return any(rules.is_open(repository) for repository in self._index.anonymous(digest))
