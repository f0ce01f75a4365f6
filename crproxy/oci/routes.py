"""The paths below ``/v2/`` as typed requests.

OCI distribution specification, "Endpoints". What does not parse raises a RegistryError here and goes no
further. A name is left as it came: which registry it means is policy's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .digests import Digest
from .errors import ErrorCode, RegistryError
from .names import Reference, parse_reference

__all__ = [
    "BlobRequest",
    "ManifestRequest",
    "Ping",
    "ReferrersRequest",
    "RegistryRequest",
    "TagsRequest",
    "parse_path",
]


@dataclass(frozen=True, slots=True)
class Ping:
    """``/v2/``: does a registry answer here? (end-1)"""


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """``/v2/<name>/blobs/<digest>`` (end-2)."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class ManifestRequest:
    """``/v2/<name>/manifests/<reference>`` (end-3)."""

    name: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class TagsRequest:
    """``/v2/<name>/tags/list`` (end-8a, 8b)."""

    name: str


@dataclass(frozen=True, slots=True)
class ReferrersRequest:
    """``/v2/<name>/referrers/<digest>`` (end-12a, 12b)."""

    name: str
    digest: Digest


RegistryRequest = Ping | BlobRequest | ManifestRequest | TagsRequest | ReferrersRequest

# The name is greedy, so a repository whose own name ends in "/manifests" parses as it should. A reference has no "/".
_ENDPOINT = re.compile(r"(?P<name>.+)/(?P<kind>manifests|blobs|referrers|tags)/(?P<rest>[^/]+)")
_UPLOADS = re.compile(r".+/blobs/uploads(/.*)?")

# Nothing that the specification can name needs another character: no escapes, no backslash, no control character.
_PLAIN = re.compile(r"[A-Za-z0-9._:/\[\]+=-]*")


def parse_path(path: str) -> RegistryRequest:
    """Return what ``path`` (undecoded, without its query) asks for.

    Raises:
        RegistryError: NAME_INVALID, TAG_INVALID or DIGEST_INVALID for what is outside the grammar, UNSUPPORTED for
            an endpoint that a proxy does not have, NAME_UNKNOWN for a path that is no endpoint at all.
    """
    if path in ("/v2", "/v2/"):
        return Ping()
    if not path.startswith("/v2/"):
        raise RegistryError(
            ErrorCode.NAME_UNKNOWN,
            f"{path[:160]!r} is not below /v2/: there is no such page here",
            status=404,
        )
    return _parse_below_v2(path.removeprefix("/v2/"))


def _parse_below_v2(rest: str) -> RegistryRequest:
    _refuse_what_no_name_holds(rest)
    if rest.rstrip("/") == "_catalog":
        raise RegistryError(
            ErrorCode.UNSUPPORTED, "a proxy has no catalog: the upstream registries hold more than it knows"
        )
    if _UPLOADS.fullmatch(rest):
        raise RegistryError(ErrorCode.UNSUPPORTED, "this proxy only pulls: push to the upstream registry itself")
    endpoint = _ENDPOINT.fullmatch(rest)
    if endpoint is None:
        raise RegistryError(
            ErrorCode.NAME_UNKNOWN,
            f"/v2/{rest[:160]} is no endpoint of the distribution specification: "
            "it ends in /manifests/REFERENCE, /blobs/DIGEST, /tags/list or /referrers/DIGEST",
        )
    return _typed(endpoint["name"], endpoint["kind"], endpoint["rest"])


def _refuse_what_no_name_holds(rest: str) -> None:
    parts = rest.split("/")
    if not _PLAIN.fullmatch(rest) or "" in parts[:-1] or ".." in parts or "." in parts:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{rest[:160]!r} cannot be part of an image's name: no escapes, no empty parts, no . or .. parts",
        )


def _typed(name: str, kind: str, rest: str) -> RegistryRequest:
    match kind:
        case "manifests":
            return ManifestRequest(name, parse_reference(rest))
        case "blobs":
            return BlobRequest(name, Digest.parse(rest))
        case "referrers":
            return ReferrersRequest(name, Digest.parse(rest))
        case _ if rest == "list":
            return TagsRequest(name)
        case _:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, f"/tags/{rest[:160]} is no endpoint: ask for /tags/list")
