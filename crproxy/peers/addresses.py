"""What a worker asks another one for, as a URL; and back."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from ..oci.digests import Digest
from ..oci.names import Registry
from ..store.blobs import PartialKey
from ..store.entries import Entry

__all__ = ["key_in", "path_of"]


def path_of(key: PartialKey) -> str:
    """Return path and query of what ``key`` is of."""
    of = {"pool": key.entry.pool, "origin": key.origin}
    query = {name: registry.name for name, registry in of.items() if registry is not None}
    return f"/blobs/{key.entry.digest}?{urlencode(query)}"


def key_in(digest: str, query: Mapping[str, str]) -> PartialKey:
    """Return what is meant by the last part of a path and the query behind it. Raises RegistryError."""
    pool, origin = (_registry(query.get(name)) for name in ("pool", "origin"))
    return PartialKey(Entry(Digest.parse(digest), pool), origin)


def _registry(name: str | None) -> Registry | None:
    return None if name is None else Registry.parse(name)
