"""Registries, repositories and tags: how images are named.

Names are parsed here, once, into types; what does not parse goes no further. Grammar: OCI distribution
specification, "Pulling manifests" (repository names and tags).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import idna

from .digests import Digest
from .errors import ErrorCode, RegistryError

__all__ = [
    "DOCKER_HUB",
    "OLLAMA",
    "Reference",
    "Registry",
    "Repository",
    "Tag",
    "canonical_host",
    "looks_like_registry",
    "names_digest",
    "parse_reference",
    "referrers_tag",
]

# "<name> MUST match the following regular expression"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
# "Many clients impose a limit of 255 characters on the length of the concatenation of the registry
# hostname (and optional port), /, and <name> value."
_NAME_LIMIT = 255
# "<reference> as a tag MUST be at most 128 characters in length and MUST match"
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
# As "Referrers Tag Schema" has it, and with what cosign adds to it: .sig, .att, .sbom.
_OF_DIGEST = re.compile(r"sha(?:256|512)-[0-9a-f]{64}(?:\.[a-z]{1,8})?")

# RFC 1123, 2.1, letters, digits and hyphens; an underscore is seen in private networks' names.
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST_LIMIT = 253
# No domain at the top is a number (RFC 3696, 2). What ends in one is an address to every resolver, in one of C's
# notations (inet_aton(3)): of them only four decimal numbers without leading zeros are read alike by all.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
# Its sites, which people put in front of models' names; they are no hosts of a registry.
_OLLAMA_NAMES = frozenset({"ollama.ai", "ollama.com"})


@dataclass(frozen=True, slots=True, order=True)
class Registry:
    """A registry, by host name and, where it is not the scheme's own, port.

    Names of Docker Hub are one, and those by which people know Ollama's.
    """

    name: str

    @classmethod
    def parse(cls, text: str) -> Registry:
        """Return the registry that ``text`` names, normalised, or raise NAME_INVALID."""
        host, port = _split_port(text)
        canonical = canonical_host(host)
        if canonical is None or (port is not None and not 0 < port < 65536):
            raise RegistryError(
                ErrorCode.NAME_INVALID,
                f"{text[:160]!r} is not a registry's name: write a host name such as quay.io",
            )
        # https's own port is no part of a name: two spellings would be two registries for lists of what is allowed.
        if port in (None, 443):
            if canonical in _HUB_NAMES:
                return DOCKER_HUB
            return OLLAMA if canonical in _OLLAMA_NAMES else cls(canonical)
        return cls(f"{canonical}:{port}")

    @property
    def hosts(self) -> frozenset[str]:
        """The host names that clients ask for it at https's own port; none where it has a port of its own."""
        if self == DOCKER_HUB:
            return _HUB_NAMES
        return frozenset() if ":" in self.name else frozenset({self.name})

    def repository(self, path: str) -> Repository:
        """Return this registry's repository ``path``, or raise NAME_INVALID.

        A one-part path of Docker Hub is an official image, and of Ollama's registry a model of its own: ``nginx`` is
        ``library/nginx``.
        """
        if self in (DOCKER_HUB, OLLAMA) and "/" not in path:
            path = f"library/{path}"
        return Repository.parse(self, path)

    def __str__(self) -> str:
        return self.name


DOCKER_HUB = Registry("docker.io")
OLLAMA = Registry("registry.ollama.ai")


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository: the registry it is in, and its path there."""

    registry: Registry
    path: str

    @classmethod
    def parse(cls, registry: Registry, path: str) -> Repository:
        """Return the repository, or raise NAME_INVALID where ``path`` is outside the grammar."""
        if len(registry.name) + 1 + len(path) > _NAME_LIMIT or not _NAME.fullmatch(path):
            raise RegistryError(
                ErrorCode.NAME_INVALID,
                f"{path[:160]!r} is not a repository's name: parts of lower-case letters and digits, "
                "joined inside by . _ __ or -, with / between them",
            )
        return cls(registry, path)

    def named(self, reference: Reference) -> str:
        """Return the name of an image in this repository, as people write it."""
        return f"{self}{'@' if isinstance(reference, Digest) else ':'}{reference}"

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name that a repository gives to one of its manifests, and may move."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Return the tag, or raise TAG_INVALID."""
        if not _TAG.fullmatch(text):
            raise RegistryError(
                ErrorCode.TAG_INVALID,
                f"{text[:160]!r} is not a tag: up to 128 letters, digits, _ . and -, not beginning with . or -",
            )
        return cls(text)

    def __str__(self) -> str:
        return self.name


Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """Return the tag or digest by which a manifest is asked for, or raise TAG_INVALID or DIGEST_INVALID."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def referrers_tag(digest: Digest, suffix: str = "") -> Tag:
    """Return the tag that stands for the list of what refers to ``digest`` ("Referrers Tag Schema").

    Arguments:
        suffix: what cosign adds to it for what it keeps itself, such as ``.sig``.
    """
    # "Truncate": the digest's parts, cut to what a tag may have.
    return Tag.parse(f"{digest.algorithm[:32]}-{digest.hex[:64]}{suffix}")


def names_digest(tag: Tag) -> bool:
    """Tell whether a tag stands for what is about some digest: a list of what refers to it, or a signature of it."""
    return _OF_DIGEST.fullmatch(tag.name) is not None


def looks_like_registry(part: str) -> bool:
    """Tell whether the first part of an image's name is a registry.

    The rule that Docker gave the world: it has a dot or a port, or is ``localhost``.
    """
    return "." in part or ":" in part or part == "localhost"


def _split_port(text: str) -> tuple[str, int | None]:
    """Part ``host``, ``host:port`` or ``[v6]:port``; a port that is no number comes back as 0."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    return host, int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0


def canonical_host(host: str) -> str | None:
    """Return the one spelling of a host's name: lower case, IDNA's ASCII (UTS 46); None where it is no name."""
    if host.startswith("[") and host.endswith("]"):
        return _canonical_ipv6(host[1:-1])
    if len(host) > _HOST_LIMIT:
        # Before UTS 46, for which idna took a time that grew with the square (CVE-2024-3651).
        return None
    if not host.isascii():
        host = _to_ascii(host)
    host = host.lower()
    labels = host.split(".")
    if len(host) > _HOST_LIMIT or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return None
    return None if _NUMBER.fullmatch(labels[-1]) and not _is_ipv4(host) else host


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _canonical_ipv6(text: str) -> str | None:
    # ipaddress takes a zone, which may be any text at all (RFC 4007, 11); no registry's name has one.
    if "%" in text:
        return None
    try:
        return f"[{ipaddress.IPv6Address(text)}]"
    except ValueError:
        return None


def _to_ascii(host: str) -> str:
    """Apply UTS 46, as browsers do; what cannot be converted comes back as it was, and will not parse."""
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host
