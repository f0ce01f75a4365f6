"""Which image an operator means who names one on the command line: with a registry, or by this proxy's own names.

Pure. Requests of clients are routed in crproxy/policy/routing.py, by whose rules the names are taken here.
"""

from __future__ import annotations

from ..oci.errors import ErrorCode, RegistryError
from ..oci.images import Image, ImageName
from ..oci.names import looks_like_registry
from .routing import Names, host_name, route

__all__ = ["parse_image"]

_SCHEMES = ("docker://", "https://", "http://", "oci://")
_OURSELVES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def parse_image(names: Names, text: str) -> Image:
    """Return the image, or the repository, that ``text`` names. Of a tag and a digest, the digest counts.

    Raises:
        RegistryError: it names none.
    """
    written = text.strip()
    for scheme in _SCHEMES:
        written = written.removeprefix(scheme)
    name = ImageName.split(written)
    if not name.name:
        raise RegistryError(ErrorCode.NAME_INVALID, f"{text[:160]!r} names no image: write one such as nginx:1.27")
    reference = name.reference()
    if name.domain is not None and _is_ours(names, name.domain, name.path):
        return Image(route(names, name.domain, name.path).repository, reference)
    return Image(route(names, names.domain or "", name.name).repository, reference)


def _is_ours(names: Names, host: str, rest: str) -> bool:
    """Tell whether a name begins with one of this proxy's own, as in what is typed behind ``docker pull``."""
    if host_name(host) in names:
        return True
    # Without a domain it is any Host's; that of this machine, in front of a registry, is meant so.
    return names.domain is None and host_name(host) in _OURSELVES and looks_like_registry(rest.partition("/")[0])
