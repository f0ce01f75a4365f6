"""This proxy as a client sees it: what is written in front of an image's name, and which URL is put into a file.

Made of configured names. Where there are none, of the Host, but only if that is a name by the grammar of names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..oci.names import DOCKER_HUB, Registry, canonical_host
from .routing import Names, host_name

__all__ = ["ExternalAddress", "external_address"]

_PORT = re.compile(r":([1-9][0-9]{0,4})$")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[1-9][0-9]{0,4})?")
# What a proxy with no option at all is asked by.
_LOCAL = "localhost:5000"
_LONGEST_HOST = 300


@dataclass(frozen=True, slots=True)
class ExternalAddress:
    """The names that clients write.

    Arguments:
        names: those of the configuration.
        base: what stands in front of REGISTRY/NAME; None where no host of this proxy serves all registries.
        port: what stands behind each host: empty, or a colon and a number.
        secure: clients come by https.
    """

    names: Names
    base: str | None
    port: str = ""
    secure: bool = False

    @property
    def scheme(self) -> str:
        """Of the URLs that clients put into files."""
        return "https" if self.secure else "http"

    def alias(self, registry: Registry) -> str | None:
        """Return the host that stands for ``registry`` alone, or None; of several the shortest."""
        hosts = [host for host, one in self.names.aliases.items() if one == registry]
        return f"{min(hosts, key=lambda host: (len(host), host))}{self.port}" if hosts else None

    def mirror(self) -> str | None:
        """Return the host at whose root Docker Hub is, or None."""
        alias = self.alias(DOCKER_HUB)
        if alias is not None:
            return alias
        return self.base if self.names.default_registry == DOCKER_HUB else None

    def is_own(self, host: str) -> bool:
        """Tell whether ``host``, perhaps with a port, is this proxy."""
        return host == self.base or host_name(host) in self.names


def external_address(names: Names, host: str, *, secure: bool) -> ExternalAddress:
    """Return how a client writes this proxy that asked for ``host`` (its Host header).

    Arguments:
        secure: it came by TLS; where there is a domain, clients are taken to come by https in any case.
    """
    name = host_name(host)
    port = _port(host, "443" if secure or names.domain is not None else "80")
    if names.domain is not None:
        return ExternalAddress(names, f"{names.domain}{port}", port, secure=True)
    if name in names.aliases:
        return ExternalAddress(names, None, port, secure)
    canonical = canonical_host(name) if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else None
    if canonical is None:
        return ExternalAddress(names, _LOCAL, "", secure)
    # A first part without a dot or a port is no registry for Docker, but for this one.
    if canonical != "localhost" and "." not in canonical and not port and not canonical.startswith("["):
        port = ":443" if secure else ":80"
    return ExternalAddress(names, f"{canonical}{port}", port, secure)


def _port(host: str, usual: str) -> str:
    found = _PORT.search(host)
    return "" if found is None or int(found[1]) > 65535 or found[1] == usual else f":{found[1]}"
