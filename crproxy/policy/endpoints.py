"""What a Twisted endpoint string says of where it listens: enough to connect to that, nothing that listens.

Twisted, "Getting Connected with Endpoints", servers: parts between colons, the first is the kind, ``\\`` escapes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PROXIED", "Endpoint", "parse_endpoint"]

# How a description begins whose connections open with a PROXY header, as Twisted has it.
PROXIED = "haproxy:"

_PORT = re.compile(r"[0-9]{1,5}")
_PARTS = {"tcp": ("port", "interface"), "tcp6": ("port", "interface"), "ssl": ("port",), "unix": ("address",)}
_EVERYWHERE = {"tcp": "127.0.0.1", "tcp6": "::1", "ssl": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something listens.

    Arguments:
        kind: ``tcp``, ``tcp6``, ``ssl``, ``unix``, or what else Twisted knows, such as ``systemd``.
        interface: the address that is listened on; empty is every one.
        port: None where it is not said.
        path: of a Unix socket.
        proxied: its connections open with a PROXY header, and only a proxy can make one.
    """

    kind: str
    interface: str = ""
    port: int | None = None
    path: str = ""
    proxied: bool = False

    @property
    def host(self) -> str:
        """The address at which this machine itself connects to it."""
        if self.interface in ("", "0.0.0.0", "::"):  # noqa: S104 - what is listened on, not what to listen on
            return _EVERYWHERE.get(self.kind, "127.0.0.1")
        return self.interface

    @property
    def is_local(self) -> bool:
        """Tell whether only this machine reaches it. What cannot be told is taken for reachable."""
        if self.kind == "unix" or self.interface == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.interface).is_loopback
        except ValueError:
            return False


def parse_endpoint(description: str) -> Endpoint:
    """Return what ``description`` says; of kinds that are not known here no more than the kind."""
    proxied = description.startswith(PROXIED)
    description = description.removeprefix(PROXIED)
    parts = list(_split(description))
    kind, *positional = [value for name, value in parts if name is None] or [""]
    known = _PARTS.get(kind, ())
    said = dict(zip(known, positional, strict=False))
    said |= {name: value for name, value in parts if name is not None}
    port = said.get("port", "")
    whole = int(port) if _PORT.fullmatch(port) else None
    interface, path = said.get("interface", ""), said.get("address", "") if known else ""
    return Endpoint(kind, interface, whole if known else None, path, proxied)


def _split(description: str) -> Iterator[tuple[str | None, str]]:
    """Yield each part as its name, None where it has none, and its value."""
    name: str | None = None
    current, escaped = "", False
    for character in description:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        elif character == ":":
            yield name, current
            name, current = None, ""
        elif character == "=" and name is None:
            name, current = current, ""
        else:
            current += character
    yield name, current
