"""The page's part about this proxy as an HTTP proxy: where that is, and the CA that its clients trust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...config import Config
from ...oci.errors import ErrorCode, RegistryError
from .asking import Asking

__all__ = ["PATH", "Authority", "Proxied", "ReadAuthorities", "proxied_of"]

PATH = "ca.pem"


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that clients are to trust.

    Arguments:
        pem: its certificate.
        fingerprint: the SHA-256 of that.
    """

    pem: str
    fingerprint: str


# Returns those that clients are to trust now.
ReadAuthorities = Callable[[], Sequence[Authority]]


@dataclass(frozen=True, slots=True)
class Proxied:
    """How the HTTP proxy is asked.

    Arguments:
        url: what clients set as their HTTPS_PROXY.
        link: of the CA's certificate.
        fingerprints: of all that are in it.
        pem: it.
    """

    url: str
    link: str
    fingerprints: tuple[str, ...]
    pem: str


def proxied_of(asking: Asking, config: Config, read: ReadAuthorities) -> Proxied | None:
    """Return it; None where there is no HTTP proxy, or no CA yet, or nothing tells where clients reach it.

    Raises:
        RegistryError: DENIED where whoever is in between could put another CA in its place.
    """
    shown, host = config.forward.shown, asking.address.base or asking.host
    authorities = read()
    if shown is None or host is None or not authorities:
        return None
    if config.listen.https and not asking.secure:
        raise RegistryError(ErrorCode.DENIED, "the CA is given by https alone: whoever is in between could change it")
    scheme, port = shown
    name = host.removesuffix(asking.address.port)
    return Proxied(
        f"{scheme}://{name}:{port}",
        f"{asking.address.scheme}://{host}/{PATH}",
        tuple(authority.fingerprint for authority in authorities),
        "".join(authority.pem for authority in authorities),
    )
