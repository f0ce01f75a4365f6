"""Through which HTTP proxy, if any, a host is reached.

The environment's variables are read as curl and Go read them; there is no specification. ``no_proxy`` is a list of
domains, addresses and networks, and localhost is always reached directly.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from .urls import Origin, origin_of

__all__ = ["DIRECT", "Proxies", "Proxy", "from_environment", "parse_proxy"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PORTED = re.compile(r":[0-9]+/?$")
_SEPARATORS = re.compile(r"[\s,]+")
_BYPASSED = re.compile(r"\[?([^\]]*?)\]?:([0-9]{1,5})")
_USUAL_PORT = 3128


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Arguments:
        host, port: where it listens.
        authorization: the value of Proxy-Authorization (RFC 9110, 11.7.2).
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which hosts are reached through which proxy.

    Arguments:
        http, https: for URLs of either scheme.
        exempt: ``no_proxy``: what is reached directly, each in lower case.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    exempt: tuple[str, ...] = ()

    @classmethod
    def always(cls, proxy: Proxy) -> Proxies:
        """Return the rule that ``proxy`` is for every host, with no exemption."""
        return cls(proxy, proxy, ())

    def for_origin(self, origin: Origin) -> Proxy | None:
        """Return the proxy through which ``origin`` is reached; None is directly."""
        proxy = self.https if origin.scheme == "https" else self.http
        return None if any(_covers(entry, origin) for entry in self.exempt) else proxy


DIRECT = Proxies()


def parse_proxy(url: str) -> Proxy:
    """Return the proxy that ``url`` names: ``http://HOST:PORT``, with ``USER:PASSWORD@`` in front where it wants that.

    The scheme may be left out, and the port, which is 3128 then. Characters that a URL cannot hold are %-encoded.

    Raises:
        ValueError: it is none, or of a kind that is not supported. The text does not repeat the password.
    """
    userinfo, _, rest = (url if _SCHEME.match(url) else f"http://{url}").rpartition("@")
    origin = origin_of(f"http://{rest}" if userinfo else rest)
    path = urlsplit(f"http://{rest}" if userinfo else rest).path if origin is not None else ""
    scheme = (userinfo or rest).partition("://")[0].lower()
    if origin is None or scheme != "http" or path not in ("", "/"):
        raise ValueError("not an HTTP proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
    port = origin.port if _PORTED.search(rest) else _USUAL_PORT
    return Proxy(origin.host, port, _authorization(userinfo.partition("://")[2]) if userinfo else None)


def from_environment(environment: Mapping[str, str]) -> Proxies:
    """Return what ``http_proxy``, ``https_proxy`` and ``no_proxy`` say, in lower case or, where that is unset, upper.

    Raises:
        ValueError: one of them is no proxy; the text names it.
    """
    http, https = (_from_variable(environment, name) for name in ("http_proxy", "https_proxy"))
    listed = _variable(environment, "no_proxy").lower()
    exempt = tuple(entry for entry in _SEPARATORS.split(listed) if entry)
    return Proxies(http, https, ("localhost", "127.0.0.0/8", "::1", *exempt)) if http or https else DIRECT


def _from_variable(environment: Mapping[str, str], name: str) -> Proxy | None:
    value = _variable(environment, name)
    try:
        return parse_proxy(value) if value else None
    except ValueError as error:
        raise ValueError(f"the environment's {name} is {error}") from None


def _variable(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _authorization(userinfo: str) -> str:
    return "Basic " + base64.b64encode(unquote(userinfo).encode()).decode("ascii")


def _covers(entry: str, origin: Origin) -> bool:
    """Tell whether ``entry`` of no_proxy is about ``origin``."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(origin.host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, port = _split_port(entry)
    if port is not None and port != origin.port:
        return False
    if name == origin.host:
        return True
    # example.com is for itself and what is below it, .example.com and *.example.com only for what is below.
    suffix = "." + name.removeprefix("*").removeprefix(".")
    return len(suffix) > 1 and origin.host.endswith(suffix)


def _split_port(entry: str) -> tuple[str, int | None]:
    match = _BYPASSED.fullmatch(entry)
    # An IPv6 address without brackets ends in what looks like a port.
    if match is None or (":" in match[1] and not entry.startswith("[")):
        return entry.strip("[]"), None
    return match[1], int(match[2])
