"""Manifests: their media types, and what they refer to.

OCI image specification, "Media Types"; Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from .digests import Digest
from .documents import NotJson, NumberTooLarge, TooManyValues, parse_json
from .errors import ErrorCode, RegistryError
from .media_types import ANY, INDEX, is_media_type, is_specific, passed_type
from .platforms import Platform
from .sizes import is_size

__all__ = [
    "ACCEPT",
    "MANIFEST_LIMIT",
    "REFERENCES_LIMIT",
    "Descriptor",
    "NoManifest",
    "all_references",
    "is_plain_index",
    "manifest_type",
    "references",
]

# Every kind a registry may hold. Upstream is always asked with all of them: what it answers then depends on the
# reference alone, never on which client came first. `*/*` covers artifacts and what is not invented yet.
ACCEPT = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/json;q=0.8",
    "*/*;q=0.5",
)

# Distribution specification, "Pushing Manifests": "a registry SHOULD accept manifests up to 4 megabytes". Docker's
# registry and containerd refuse larger ones.
MANIFEST_LIMIT = 4 * 1024 * 1024

# What one manifest may refer to: Docker's limit is 127 layers, the largest indexes have some hundreds of entries. One
# takes 5 us to be read.
REFERENCES_LIMIT = 2000


_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_OLD = "application/vnd.docker.distribution.manifest.v1+json"
_DOCKER_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
# How the types of Docker's own documents begin.
_DOCKERS = "application/vnd.docker."


class NoManifest(ValueError):
    """It is no manifest; the text says what it is."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of some content it refers to ("OCI Content Descriptors").

    ``platform`` is what an index says of one of its images, where it does.
    """

    media_type: str
    digest: Digest
    size: int
    is_manifest: bool
    platform: Platform | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether registries need not hold it ("Non-Distributable Layers", and Docker's foreign ones)."""
        return "nondistributable" in self.media_type or ".foreign." in self.media_type


def manifest_type(content: bytes, said: str | None) -> str:
    """Return the Content-Type that a manifest is answered with: what its registry said, if that is one of manifests.

    Else what it says of itself ("mediaType" of the OCI image specification), or what its shape says: clients refuse a
    manifest that comes as ``application/octet-stream``, ``text/plain`` or plain JSON.

    Arguments:
        said: the registry's Content-Type.

    Raises:
        NoManifest: it is a page or an error document, or nothing.
    """
    try:
        document = parse_json(content)
    except (TooManyValues, NumberTooLarge):
        if content.lstrip()[:1] != b"{":
            raise NoManifest(_kind(content, said)) from None
        return passed_type(said, ANY)
    except NotJson:
        raise NoManifest(_kind(content, said)) from None
    own = document.get("mediaType") if isinstance(document, dict) else None
    own = own if isinstance(own, str) and is_specific(own) else None
    if not isinstance(document, dict) or ("schemaVersion" not in document and own is None):
        raise NoManifest(f"JSON that is no manifest{_as(said)}")
    return passed_type(said, ANY) if is_specific(said) else own or _type_by_shape(document) or passed_type(said, ANY)


def _type_by_shape(document: dict[str, Any]) -> str | None:
    if document.get("schemaVersion") == 1:
        return _DOCKER_SIGNED if "signatures" in document else _DOCKER_OLD
    if isinstance(document.get("manifests"), list):
        return _DOCKER_LIST if _is_dockers(*document["manifests"][:1]) else INDEX
    if isinstance(document.get("layers"), list):
        return _DOCKER_MANIFEST if _is_dockers(document.get("config")) else _MANIFEST
    return None


def _is_dockers(descriptor: Any = None) -> bool:
    """Tell whether something that a document describes is of one of Docker's own types."""
    media_type = descriptor.get("mediaType") if isinstance(descriptor, dict) else None
    return isinstance(media_type, str) and media_type.startswith(_DOCKERS)


def _kind(content: bytes, said: str | None) -> str:
    if not content.strip():
        return "nothing"
    return f"{'a page in HTML' if content.lstrip()[:1] == b'<' else 'something that is no JSON'}{_as(said)}"


def _as(said: str | None) -> str:
    printable = said is not None and is_media_type(said)
    return f", as {said[:80]}" if printable and said is not None else ""


def references(content: bytes) -> list[Descriptor]:
    """Return what a manifest or index refers to in its own repository.

    What cannot be read, or refers to more than `all_references` takes, refers to nothing.
    """
    with contextlib.suppress(RegistryError):
        return all_references(content)
    return []


def all_references(content: bytes) -> list[Descriptor]:
    """Return what a manifest or index refers to in its own repository; what cannot be read refers to nothing.

    Raises:
        RegistryError: MANIFEST_INVALID, where there are more values in it, or references, than in any real one. A part
            of them is never taken for all.
    """
    try:
        document = parse_json(content)
    except TooManyValues as error:
        raise RegistryError(ErrorCode.MANIFEST_INVALID, f"a manifest is not read: {error}", status=502) from error
    except NotJson:
        return []
    if not isinstance(document, dict):
        return []
    blobs = [document.get("config"), *_items(document, "layers"), *_items(document, "blobs")]
    manifests = _items(document, "manifests")
    if len(blobs) + len(manifests) > REFERENCES_LIMIT:
        why = f"a manifest is not read: it refers to more than {REFERENCES_LIMIT} others"
        raise RegistryError(ErrorCode.MANIFEST_INVALID, why, status=502)
    return [
        descriptor
        for is_manifest, items in ((False, blobs), (True, manifests))
        for item in items
        if (descriptor := _descriptor(item, is_manifest)) is not None
    ]


def _items(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _descriptor(item: Any, is_manifest: bool) -> Descriptor | None:
    try:
        media_type, digest, size = item["mediaType"], Digest.parse(item["digest"]), item["size"]
    except (KeyError, TypeError, AttributeError, RegistryError):
        return None
    if not is_media_type(media_type) or not is_size(size):
        return None
    return Descriptor(media_type, digest, size, is_manifest, Platform.of(item))


def is_plain_index(content: bytes) -> bool:
    """Tell whether a manifest is an index and nothing else. Some clients take keys in any case."""
    try:
        document = parse_json(content, unique=True)
    except NotJson:
        return False
    if not isinstance(document, dict) or not isinstance(document.get("manifests"), list):
        return False
    return not {key.lower() for key in document} & {"config", "layers", "fslayers", "blobs", "history"}
