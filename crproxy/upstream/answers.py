"""What a registry's answer is worth: is it what was asked for, or something that stands in its place?

Pure: decides by header and content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..limits import Body
from ..oci.digests import Digest
from ..oci.documents import NotJson, NumberTooLarge, TooManyValues, parse_json
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import NoManifest, manifest_type
from ..oci.media_types import ANY, is_specific, passed_type
from ..oci.names import Reference, Registry, Repository, Tag
from ..oci.sizes import parse_size
from ..policy.ranges import parse_content_range
from ..policy.refusals import bad_gateway, unavailable

__all__ = [
    "Listed",
    "Manifest",
    "OtherContent",
    "RangeRefused",
    "Streamed",
    "announced_digest",
    "can_be",
    "checked_blob",
    "checked_list",
    "checked_manifest",
    "describes",
    "with_length",
]


class RangeRefused(RegistryError):
    """Upstream has no such bytes, or sends others than those asked for."""

    def __init__(self, status: int, who: str = "upstream") -> None:
        super().__init__(
            ErrorCode.UNAVAILABLE, f"{who} answered {status} with another range than was asked for", retry_after=10
        )


class OtherContent(RegistryError):
    """Upstream sent something else than what the digest names that was asked for."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, whole and checked.

    Arguments:
        digest: of its bytes, computed here.
        media_type: upstream's Content-Type, if that is one of JSON.
        content: the bytes, as upstream sent them.
    """

    digest: Digest
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list, as upstream wrote it, and its header, names in lower case."""

    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still with upstream.

    Arguments:
        status: 200 or 206; 416 with no body worth having.
        headers: upstream's, names in lower case.
        body: to be joined to a consumer.
    """

    status: int
    headers: Mapping[str, str]
    body: Body


def describes(header: Mapping[str, str], reference: Reference) -> bool:
    """Tell whether a HEAD's answer has what clients need, so that they need not ask again by GET."""
    if not parse_size(header.get("content-length")):
        return False
    needed = set()
    if isinstance(reference, Tag):
        needed.add("docker-content-digest")
    return needed <= header.keys() and is_specific(header.get("content-type"))


def with_length(registry: Registry, digest: Digest, streamed: Streamed) -> Mapping[str, str]:
    """Return the header of an answer to a range as that of the whole. Of no byte none can be sent: that is a 416.

    Raises:
        RegistryError: it says that something has no bytes that has some.
    """
    header = dict(streamed.headers)
    whole, total = header.pop("content-length", ""), header.pop("content-range", "").rpartition("/")[2]
    length = parse_size(whole if streamed.status == 200 else total)
    if length == 0 and not digest.names(b""):
        raise bad_gateway(registry, _of_another_size(digest, 0, None))
    return header if length is None else header | {"content-length": str(length)}


def checked_manifest(
    repository: Repository, reference: Reference, headers: Mapping[str, str], content: bytes
) -> Manifest:
    """Return the manifest that an answer with this header and content gives. Raises RegistryError where it is none."""
    said, what = headers.get("content-type"), f"where {repository.named(reference)} was asked for"
    if isinstance(reference, Digest):
        return Manifest(reference, _type_of_named(repository.registry, reference, content, said), content)
    try:
        media_type = manifest_type(content, said)
    except NoManifest as error:
        raise bad_gateway(repository.registry, f"{error} {what}") from error
    announced, digest = announced_digest(headers), Digest.of(content)
    if announced is not None and not announced.names(content):
        raise bad_gateway(repository.registry, f"{digest} {what}, and said that it is {announced}")
    return Manifest(digest, media_type, content)


def _type_of_named(registry: Registry, digest: Digest, content: bytes, said: str | None) -> str:
    """Return the type of what was asked for by its digest. Raises RegistryError where it is something else."""
    if not digest.names(content):
        error = unavailable(registry, f"it sent {Digest.of(content, digest.algorithm)} where {digest} was asked for")
        raise OtherContent(error.code, error.message, retry_after=error.retry_after)
    try:
        return manifest_type(content, said)
    except NoManifest:
        # What the digest names is what was asked for, whatever it is.
        return passed_type(said, ANY)


def announced_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the digest that upstream says it sends (distribution specification, "Pulling manifests")."""
    try:
        return Digest.parse(headers.get("docker-content-digest", ""))
    except RegistryError:
        return None


def can_be(digest: Digest, size: int, told: int | None) -> bool:
    """Tell whether a blob may have ``size`` bytes of which it was ``told`` how many it has, or nothing (None)."""
    return size == (size if told is None else told) and (size > 0 or digest.names(b""))


def checked_list(registry: Registry, headers: Mapping[str, str], content: bytes, key: str, what: str) -> Listed:
    """Return the list that an answer with this header and content gives.

    Arguments:
        key: where it is in the document: ``tags`` or ``manifests``.
        what: was asked for, for the message.

    Raises:
        RegistryError: it is something else.
    """
    if not _is_list(content, key):
        raise bad_gateway(registry, f"no list where {what} were asked for")
    return Listed(headers, content)


def _is_list(content: bytes, key: str) -> bool:
    try:
        document = parse_json(content)
    except (TooManyValues, NumberTooLarge):
        return content.lstrip()[:1] == b"{"
    except NotJson:
        return False
    # "tags": null is what some say of a repository that has none.
    return isinstance(document, dict) and key in document and isinstance(document[key], list | None)


def checked_blob(
    repository: Repository, digest: Digest, streamed: Streamed, start: int, stop: int | None, told: int | None
) -> Streamed:
    """Return an answer with a blob, or with its bytes from ``start`` up to ``stop``.

    Arguments:
        told: the blob's size in bytes, where a manifest said it.

    Raises:
        RangeRefused: it is a part that was not asked for, or of another length than it says.
        RegistryError: it cannot be that blob.
    """
    if not _is_of_range(streamed, start, stop):
        raise RangeRefused(streamed.status, str(repository.registry))
    size = _whole_size(streamed)
    if size is not None and not can_be(digest, size, told):
        # A client that is told of a smaller size has all of it before the digest can show that it is not.
        raise bad_gateway(repository.registry, _of_another_size(digest, size, told))
    if streamed.status != 200:
        return streamed
    # Content-Range has no meaning in a 200 (RFC 9110, 14.4), which is the whole, whatever was asked for.
    headers = {name: value for name, value in streamed.headers.items() if name != "content-range"}
    return replace(streamed, headers=headers)


def _is_of_range(streamed: Streamed, start: int, stop: int | None) -> bool:
    """Tell whether a 206 is what was asked for; without a readable Content-Range that is left to who asked."""
    if streamed.status != 206:
        return True
    if start == 0 and stop is None:
        return False
    sent = parse_content_range(streamed.headers.get("content-range"))
    return sent is None or (sent.start == start and streamed.body.length in (None, sent.length))


def _whole_size(streamed: Streamed) -> int | None:
    """Return how many bytes all of it has, where an answer says so."""
    if streamed.status == 200:
        return streamed.body.length
    sent = parse_content_range(streamed.headers.get("content-range"))
    return None if sent is None else sent.size


def _of_another_size(digest: Digest, size: int, told: int | None) -> str:
    if not size:
        return f"no byte of {digest}"
    return f"{size} bytes where {digest} was asked for, of which its manifest says that it has {told}"
