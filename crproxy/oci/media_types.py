"""Media types of manifests and lists: which of those that registries send are passed on. Pure.

OCI image specification, "Media Types"; RFC 6838, 4.2 (names of types).
"""

from __future__ import annotations

import functools
import re

__all__ = ["ANY", "INDEX", "JSON", "is_media_type", "is_specific", "passed_type"]

JSON = "application/json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Nothing that a browser would show.
ANY = "application/octet-stream"

# Either name of one has 127 characters at the most. Real images have some that are none by the grammar.
_MEDIA_TYPE = re.compile(r"[ -~]{1,255}")
# What is JSON, whoever invented it. HTML, SVG and XML would be a stranger's page on our host.
_JSON_TYPE = re.compile(r"application/(?:json|vnd\.[a-z0-9!#$&^_.+-]{1,115}\+(?:json|prettyjws))", re.IGNORECASE)
_CHARSET = re.compile(r"[ \t]*charset=\"?utf-8\"?[ \t]*", re.IGNORECASE)


def is_media_type(text: object) -> bool:
    """Tell whether a value from a descriptor may be a media type: ASCII of some length, and no half of a surrogate."""
    return isinstance(text, str) and _MEDIA_TYPE.fullmatch(text) is not None


def is_specific(content_type: str | None) -> bool:
    """Tell whether a type says which kind of document it is, and not merely that it is JSON, text or bytes."""
    media_type = passed_type(content_type, ANY).partition(";")[0]
    return media_type.lower() not in (ANY, JSON)


# The same few come again and again; what a stranger makes up is bounded where fields are read.
@functools.lru_cache(256)
def passed_type(content_type: str | None, ours: str) -> str:
    """Return the Content-Type to answer with, where a registry said ``content_type``: that, if it is JSON, or ``ours``.

    Parameters do not pass, but for ``charset=utf-8``, which clients may expect behind ``application/json``.
    """
    media_type, semicolon, parameter = (content_type or "").partition(";")
    media_type = media_type.strip(" \t")
    if not _JSON_TYPE.fullmatch(media_type):
        return ours
    return f"{media_type}; charset=utf-8" if semicolon and _CHARSET.fullmatch(parameter) else media_type
