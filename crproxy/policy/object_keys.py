"""What objects of the second tier are called, and what is in the small ones. Pure: no object is looked at here.

Content is named by its digest, and whose it is (see store/entries.py). A fact (a link, a tag, a refusal) is a small
object of JSON, named by what it is about: registry, repository, credential, digest, tag.

A store that keeps objects as files (versitygw, a local directory) has two laws more than S3: no key is a directory of
another, and no part between two slashes is longer than 255 bytes. A repository's name may be the beginning of
another's, so ``-``, which is no part of any, stands between it and what is about it. A name that is too long is there
by its hash, which it cannot be read back from.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import RegistryError
from ..oci.names import Registry, Repository

__all__ = [
    "ROOT",
    "BlobKey",
    "LinkContent",
    "LinkKey",
    "RevokedContent",
    "RevokedKey",
    "TagContent",
    "TagKey",
    "ViewNames",
    "links_below",
    "parse_key",
    "parse_link",
    "parse_revoked",
    "parse_tag",
    "tags_below",
]

ROOT = "v1"
# Stands between a repository and what is about it, and for no credential. Neither is ever called so.
_NONE = "-"
# Bytes of a part of a key. File systems take 255; some of what they are put into adds something to it.
_LONGEST_PART = 200
# Begins what nothing can be read back from. No name that is written out has an "=" in it: that is "%3D".
_HASHED = "=sha256-"
_BLOB_PARTS = 4
# Seconds since the epoch: 4 digits more than there will be.
_MOST_SECONDS = 1e14
_MOST_BYTES = 1 << 62


@dataclass(frozen=True, slots=True, order=True)
class ViewNames:
    """A repository as one credential sees it, or none where that is empty (see store.entries.View)."""

    repository: Repository
    credential: str = ""

    def __str__(self) -> str:
        registry = _part(self.repository.registry.name)
        return f"{registry}/{self.repository.path}/{_NONE}/{_part(self.credential) or _NONE}"


@dataclass(frozen=True, slots=True, order=True)
class BlobKey:
    """Content by its digest, of everybody's pool or of a registry's."""

    digest: Digest
    pool: Registry | None = None

    def __str__(self) -> str:
        pool = "" if self.pool is None else f"/pools/{_part(self.pool.name)}"
        return f"{ROOT}{pool}/blobs/{self.digest.algorithm}/{self.digest.hex[:2]}/{self.digest.hex}"


@dataclass(frozen=True, slots=True)
class LinkKey:
    """The permission of a view to have some content."""

    view: ViewNames
    digest: Digest

    def __str__(self) -> str:
        return f"{links_below(self.digest)}/{self.view}"


@dataclass(frozen=True, slots=True)
class TagKey:
    """Where a tag of a view points, or what is kept like a tag: any text that is not empty."""

    view: ViewNames
    name: str

    def __str__(self) -> str:
        return f"{tags_below(self.view)}/{_part(self.name)}"


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """When upstream refused a view."""

    view: ViewNames

    def __str__(self) -> str:
        return f"{ROOT}/revoked/{self.view}"


def links_below(digest: Digest, registry: Registry | None = None) -> str:
    """Return where all links to some content are; those of one registry's repositories, where it is given."""
    within = "" if registry is None else f"/{_part(registry.name)}"
    return f"{ROOT}/links/{digest.algorithm}/{digest.hex}{within}"


def tags_below(view: ViewNames) -> str:
    """Return where all tags of a view are."""
    return f"{ROOT}/tags/{view}"


def parse_key(key: str) -> BlobKey | LinkKey | TagKey | RevokedKey | None:
    """Return what the object ``key`` is about; None where it is no key of ours, or one that cannot be read back."""
    try:
        found = _parse(key.split("/"))
    except RegistryError:
        return None
    # One object has one key: what is spelled otherwise is not ours.
    return found if found is not None and str(found) == key else None


def _parse(parts: list[str]) -> BlobKey | LinkKey | TagKey | RevokedKey | None:
    match parts:
        case [str(root), "pools", pool, *rest] if root == ROOT and len(rest) == _BLOB_PARTS:
            return _blob(rest, Registry.parse(_name(pool)))
        case [str(root), "links", algorithm, encoded, *view] if root == ROOT:
            return LinkKey(_view(view), Digest.parse(f"{algorithm}:{encoded}"))
        case [str(root), "tags", *view, name] if root == ROOT:
            return TagKey(_view(view), _name(name)) if name else None
        case [str(root), "revoked", *view] if root == ROOT:
            return RevokedKey(_view(view))
        case [str(root), *rest] if root == ROOT and len(rest) == _BLOB_PARTS:
            return _blob(rest, None)
    return None


def _blob(parts: list[str], pool: Registry | None) -> BlobKey | None:
    kind, algorithm, _, encoded = parts
    return BlobKey(Digest.parse(f"{algorithm}:{encoded}"), pool) if kind == "blobs" else None


def _view(parts: list[str]) -> ViewNames:
    """Return the view; what is none raises RegistryError, or is printed as something else."""
    registry, *path = parts or [""]
    credential = path[-1] if path else ""
    repository = Repository.parse(Registry.parse(_name(registry)), "/".join(path[:-2]))
    return ViewNames(repository, "" if credential == _NONE else _name(credential))


def _part(name: str) -> str:
    """Return a name as one part of a key; empty where it is."""
    # quote() leaves letters, digits and "_.-~": "." and ".." would be read as directories, and "-" as nothing at all.
    written = quote(name, safe="", errors="surrogatepass")
    if written[:1] in (".", _NONE):
        written = f"%{ord(written[0]):02X}{written[1:]}"
    if len(written) <= _LONGEST_PART:
        return written
    return _HASHED + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _name(part: str) -> str:
    """Return the name that a part of a key stands for."""
    return unquote(part, errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class LinkContent:
    """What is in the object of a link (store.notes.Link).

    Arguments:
        media_type: as a manifest; None of a blob.
        size: bytes, where they are known.
        confirmed: when upstream gave the content, or its word for it, last; seconds since the epoch.
    """

    media_type: str | None
    size: int | None
    confirmed: float

    def __bytes__(self) -> bytes:
        return _written(media_type=self.media_type, size=self.size, confirmed=self.confirmed)


@dataclass(frozen=True, slots=True)
class TagContent:
    """What is in the object of a tag (store.notes.TagEntry): where it pointed at ``checked`` (seconds since 1970)."""

    digest: Digest
    checked: float

    def __bytes__(self) -> bytes:
        return _written(digest=str(self.digest), checked=self.checked)


@dataclass(frozen=True, slots=True)
class RevokedContent:
    """What is in the object of a refusal: nothing counts that was confirmed up to ``at``, seconds since the epoch."""

    at: float

    def __bytes__(self) -> bytes:
        return _written(at=self.at)


def parse_link(content: bytes) -> LinkContent | None:
    """Return what is in the object of a link; None where it is something else."""
    fields = _fields(content)
    media_type, size = fields.get("media_type"), fields.get("size")
    confirmed = _moment(fields.get("confirmed"))
    is_type = media_type is None or (isinstance(media_type, str) and media_type.isprintable())
    if confirmed is None or not is_type or not (size is None or _is_size(size)):
        return None
    return LinkContent(media_type, size, confirmed)


def parse_tag(content: bytes) -> TagContent | None:
    """Return what is in the object of a tag; None where it is something else."""
    fields = _fields(content)
    digest, checked = fields.get("digest"), _moment(fields.get("checked"))
    if not isinstance(digest, str) or checked is None:
        return None
    try:
        return TagContent(Digest.parse(digest), checked)
    except RegistryError:
        return None


def parse_revoked(content: bytes) -> RevokedContent | None:
    """Return what is in the object of a refusal; None where it is something else."""
    at = _moment(_fields(content).get("at"))
    return None if at is None else RevokedContent(at)


def _written(**fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, allow_nan=False).encode()


def _fields(content: bytes) -> dict[str, Any]:
    try:
        fields = parse_json(content)
    except NotJson:
        return {}
    return fields if isinstance(fields, dict) else {}


def _moment(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and 0 <= value < _MOST_SECONDS else None


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_BYTES
