"""The object store that several nodes have in common, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from ..policy.urls import origin_of
from .fleet_values import Storage
from .table import Table

__all__ = ["read_storage"]

_KINDS = ("s3", "gs", "az", "file")
_WRITE = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY"
# Of a bucket or container, and of what is before our own keys: nothing that a URL, or a store, could write otherwise.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
# Bytes that S3 leaves to the prefix: a key has 1024 at the most, and ours have up to 824.
_LONGEST_PREFIX = 200
# S3 signs for no longer (X-Amz-Expires).
_LONGEST_SIGNED = 7 * 86400.0


def read_storage(table: Table, read_named: Callable[[Table, str], str | None]) -> Storage | None:
    """Return what ``[storage]`` says; None where it says nothing.

    Arguments:
        read_named: returns the text of the file that a key names.

    Raises:
        ConfigError: something in it cannot be used.
    """
    url = _url(table)
    kind = None if url is None else urlsplit(url).scheme
    storage = Storage(
        url=url or "",
        endpoint=_endpoint(table, kind),
        region=_for_s3(table, "region", kind),
        access_key_id=_for_s3(table, "access_key_id", kind),
        secret_access_key=_secret(table, read_named),
        size=table.size("size", 0) or None,
        redirect=table.boolean("redirect", False),
        redirect_ttl=table.duration("redirect_ttl", Storage("").redirect_ttl),
    )
    table.refuse_the_rest()
    if not table.values:
        return None
    if url is None:
        table.fail("url", f"without it nobody knows which store is meant: {_WRITE}")
    if (storage.access_key_id is None) != (storage.secret_access_key is None):
        table.fail("access_key_id", "it goes with a secret_access_key_file, and the other way round")
    if storage.redirect and kind == "file":
        table.fail("redirect", "a directory has no URLs that clients could be sent to")
    if storage.redirect_ttl > _LONGEST_SIGNED:
        table.fail("redirect_ttl", "no store signs a URL for longer than 7d")
    return storage


def _url(table: Table) -> str | None:
    text = table.string("url")
    if text is None:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        table.fail("url", f"this is no URL: {_WRITE}")
    where = parts.path.strip("/")
    if parts.scheme not in _KINDS or parts.query or parts.fragment or "?" in text or "#" in text:
        table.fail("url", f"this is none of a store: {_WRITE}")
    if parts.scheme == "file":
        if parts.netloc or not where:
            table.fail("url", "a directory is written from its root on: file:///DIRECTORY")
        return f"file:///{where}"
    if not _is_plain(parts.netloc):
        table.fail("url", "a bucket has letters, digits, . _ and -, and nothing else stands where its name does")
    if where and not all(map(_is_plain, where.split("/"))):
        table.fail("url", "a prefix has letters, digits, . _ and -, in parts with one / between them")
    if len(where) > _LONGEST_PREFIX:
        table.fail("url", f"this prefix has more than {_LONGEST_PREFIX} characters")
    return f"{parts.scheme}://{parts.netloc}/{where}".rstrip("/")


def _is_plain(part: str) -> bool:
    return bool(part) and _PLAIN.issuperset(part) and part not in (".", "..")


def _endpoint(table: Table, kind: str | None) -> str | None:
    text = _for_s3(table, "endpoint", kind)
    if text is None:
        return None
    origin = origin_of(text)
    if origin is None or str(origin) != _without_usual_port(text):
        table.fail("endpoint", "this is no server: write its scheme, host and port, such as https://s3.example.com")
    return str(origin)


def _without_usual_port(url: str) -> str:
    origin, parts = origin_of(url), urlsplit(url.rstrip("/"))
    return str(origin) if origin is not None and not (parts.path or parts.query or parts.fragment) else ""


def _for_s3(table: Table, key: str, kind: str | None) -> str | None:
    text = table.string(key)
    if text is not None and not text:
        table.fail(key, "there is nothing in it: leave it out, or say it")
    if text is not None and kind not in (None, "s3"):
        table.fail(key, "it goes with s3://; what another store needs is taken from the environment")
    return text


def _secret(table: Table, read_named: Callable[[Table, str], str | None]) -> str | None:
    text = read_named(table, "secret_access_key_file")
    if text is None:
        return None
    secret = text.strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        table.fail("secret_access_key_file", "there is no key in it: it has one line, with the key and nothing else")
    return secret
