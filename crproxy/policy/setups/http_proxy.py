"""This proxy as its clients see it that have it as their HTTP proxy, and where they keep whom they trust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from ..routing import host_name
from .target import ClientFile, Login

__all__ = ["DEBIAN", "NAME", "Anchor", "HttpProxy", "System", "anchors_of", "trusting"]

NAME = "crproxy"
# What clients ask without the proxy: themselves, the machines around them, and names that no registry of the world has.
# Networks mean what is asked by its address (Go's clients look no name up for it), which no registry is here.
_DIRECT = (
    "localhost",
    "127.0.0.1",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    ".local",
    ".internal",
    ".svc",
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A CA that clients are to trust.

    Arguments:
        pem: its certificate, and nothing else.
        fingerprint: the SHA-256 of that, in hexadecimal with colons.
        names: that it may sign for.
    """

    pem: str
    fingerprint: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """The proxy, as its clients see it.

    Arguments:
        host: with its port.
        secure: it is asked by TLS.
        anchors: what they are to trust; one at least.
        login: as whom, where it asks for that.
    """

    host: str
    secure: bool
    anchors: tuple[Anchor, ...]
    login: Login | None = None

    @property
    def url(self) -> str:
        """What clients are told. What is special in a URL is percent-encoded in the login (RFC 3986, 3.2.1)."""
        login = self.login
        who = "" if login is None else f"{quote(login.user, safe='')}:{quote(login.written_password, safe='')}@"
        return f"{'https' if self.secure else 'http'}://{who}{self.host}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it answers for."""
        return tuple(sorted({name for anchor in self.anchors for name in anchor.names}))

    @property
    def direct(self) -> str:
        """The value of NO_PROXY: the proxy itself and what is near, but nothing that a registry's name is below."""
        own = host_name(self.host).strip("[]")
        return ",".join(each for each in dict.fromkeys((*_DIRECT, own)) if not _holds(each, self.names))

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """Environment variables for clients."""
        return (("HTTPS_PROXY", self.url), ("NO_PROXY", self.direct))

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is on the client's own machine."""
        return host_name(self.host) in ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class System:
    """Where an operating system has the CAs that it trusts.

    Arguments:
        directory: for more of them, one in each file: OpenSSL finds no second one in a file.
        suffix: of their names.
        update: the command that has them count.
        tidy: the command that has those count no more that were removed, and leaves nothing of them.
    """

    name: str
    directory: str
    suffix: str
    update: str
    tidy: str

    def path(self, part: str) -> str:
        """Return the path of one of ours; ``part`` may be ``*``."""
        return f"{self.directory}/{NAME}-{part}{self.suffix}"


DEBIAN = System(
    "Debian, Ubuntu, Alpine",
    "/usr/local/share/ca-certificates",
    ".crt",
    "update-ca-certificates",
    "update-ca-certificates --fresh",
)
_RED_HAT = System("RHEL, Fedora", "/etc/pki/ca-trust/source/anchors", ".pem", "update-ca-trust", "update-ca-trust")


def anchors_of(proxy: HttpProxy) -> tuple[ClientFile, ...]:
    """Return the files of what is trusted: one each, whose name is another one for another CA."""
    return tuple(ClientFile(DEBIAN.path(_short(anchor)), anchor.pem) for anchor in proxy.anchors)


def trusting(proxy: HttpProxy) -> Iterator[str]:
    """Yield what is to be done for these to count."""
    for anchor in proxy.anchors:
        yield f"# {DEBIAN.path(_short(anchor))} has the SHA-256 {anchor.fingerprint}"
    yield (
        f"# on {_RED_HAT.name}: these go to {_RED_HAT.directory}, their names end in {_RED_HAT.suffix}, the "
        f"command is {_RED_HAT.update}; to go back, the same there"
    )
    yield DEBIAN.update


def _short(anchor: Anchor) -> str:
    return anchor.fingerprint.replace(":", "")[:8].lower()


def _holds(entry: str, names: tuple[str, ...]) -> bool:
    """Tell whether an entry of NO_PROXY is one of ``names`` or has one below it."""
    suffix = "." + entry.removeprefix(".")
    return any(f".{name}".endswith(suffix) for name in names)
