"""Names of images as people write them: short ones of Docker Hub, with a registry, by this proxy's own names.

Pure. Requests of clients are routed in crproxy/policy/routing.py, by whose rules the names are taken here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Reference, Repository, Tag, looks_like_registry
from .routing import Names, host_name, route

__all__ = ["Image", "parse_image", "parse_repository"]

_SCHEMES = ("docker://", "https://", "http://", "oci://")
_OURSELVES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Image:
    """An image: the repository, and the tag or digest in it."""

    repository: Repository
    reference: Reference

    def __str__(self) -> str:
        return self.repository.named(self.reference)


def parse_image(names: Names, text: str) -> Image:
    """Return the image that ``text`` names: without a tag or digest the tag ``latest``; with both, the digest counts.

    Raises:
        RegistryError: it names none.
    """
    repository, reference = parse_repository(names, text)
    return Image(repository, reference or Tag("latest"))


def parse_repository(names: Names, text: str) -> tuple[Repository, Reference | None]:
    """Return the repository, and what in it, ``text`` names; None where that is not said. Raises RegistryError."""
    name = text.strip()
    for scheme in _SCHEMES:
        name = name.removeprefix(scheme)
    name, at, digest = name.partition("@")
    name, tag = _split_tag(name)
    if not name:
        raise RegistryError(ErrorCode.NAME_INVALID, f"{text[:160]!r} names no image: write one such as nginx:1.27")
    reference = Digest.parse(digest) if at else None if tag is None else Tag.parse(tag)
    return _repository(names, name), reference


def _split_tag(name: str) -> tuple[str, str | None]:
    """Part a name and its tag: a colon before the last slash is a port's."""
    before, colon, tag = name.rpartition(":")
    return (before, tag) if colon and "/" not in tag else (name, None)


def _repository(names: Names, name: str) -> Repository:
    first, slash, rest = name.partition("/")
    if slash and _is_ours(names, first, rest):
        return route(names, first, rest).repository
    return route(names, names.domain or "", name).repository


def _is_ours(names: Names, host: str, rest: str) -> bool:
    """Tell whether a name begins with one of this proxy's own, as in what is typed behind ``docker pull``."""
    if host_name(host) in names:
        return True
    # Without a domain it is any Host's; that of this machine, in front of a registry, is meant so.
    return names.domain is None and host_name(host) in _OURSELVES and looks_like_registry(rest.partition("/")[0])
