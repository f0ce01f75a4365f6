"""Endpoints as services: listened on while they run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from twisted.application.service import MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure

from ..policy.endpoints import parse_endpoint
from ..policy.findings import Finding
from .starting import CannotStart

__all__ = ["ListenError", "Listener", "status_of"]

# Ports of Twisted's say by themselves that they start. This empties what they say: the line below says more.
_UNSAID = {"log_format": ""}
_URL_SCHEMES = {"metrics": "http", "page": "http", "fleet": "https", "proxy": "http", "proxy_tls": "https"}
# What Twisted says where a living process has the lock beside a Unix socket.
_LOCKED = "Cannot acquire lock"
_HINTS = {
    errno.EADDRINUSE: "another program listens there, which ss -ltnp names",
    errno.EACCES: "ports below 1024 take root, CAP_NET_BIND_SERVICE, or crproxy.socket",
    errno.EADDRNOTAVAIL: "this machine has no such address, which ip address lists",
}
_SOCKET_HINTS = {
    errno.EADDRINUSE: "another program listens there, which ss -lxp names",
    errno.EACCES: "the user that crproxy runs as must be able to write its directory",
    errno.ENOENT: "its directory is not there: make it",
}
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what was listened on, not what to listen on


class ListenError(CannotStart):
    """An endpoint cannot be listened on; the text says which, why, and what to do."""


class Listener(Service):
    """One endpoint, listened on while the service runs. Says where, as ``url``, since port 0 is any.

    Arguments:
        description: the endpoint string, for messages.
        endpoint: listens.
        factory: makes what speaks there.
        scheme: of its URLs; also the option that sets it, but for the admin socket's, ``admin``, that of monitoring,
            ``metrics``, that of the operator's page, ``page``, and that of other nodes, ``fleet``.
        known_as: what clients write for it, if that is not its address; empty where no image is pulled there.
        optional: the daemon runs without it, too.
        on_port: is called with the port that listens, which has accepted nothing yet.
        is_told: the log says where it listens.
    """

    _log = Logger()

    def __init__(
        self,
        description: str,
        endpoint: IStreamServerEndpoint,
        factory: IProtocolFactory,
        scheme: str = "http",
        *,
        known_as: str | None = None,
        optional: bool = False,
        on_port: Callable[[IListeningPort], object] = lambda _: None,
        is_told: bool = True,
    ) -> None:
        self._description = description
        self._known_as = known_as
        self._optional = optional
        self._on_port = on_port
        self._is_told = is_told
        self._scheme = "https" if description.startswith("ssl:") else scheme
        self._endpoint = endpoint
        self._factory = factory
        self._port: IListeningPort | None = None
        self.url = ""

    def privilegedStartService(self) -> None:
        """Listen, while the process may still use ports below 1024."""
        super().privilegedStartService()
        failures: list[Failure] = []
        listening = log.callWithContext(_UNSAID, self._endpoint.listen, self._factory)
        listening.addCallbacks(self._listens, failures.append)
        # Twisted's endpoints fail at once. Raised here, it stops the start; in the Deferred, the daemon would idle on.
        for failure in failures:
            if self._optional:
                self._log.warn("{why}", why=self._explain(failure))
                return
            raise ListenError(self._explain(failure)) from failure.value

    def stopService(self) -> Deferred[None] | None:
        """Stop listening."""
        super().stopService()
        port, self._port = self._port, None
        stopped = None if port is None else port.stopListening()
        return None if stopped is None else stopped.addErrback(_path_is_gone)

    def finding(self) -> Finding:
        """Return whether it listens."""
        trouble = "" if self._port is not None else "it is not listened on"
        return Finding(self.url or self._description, trouble, bears_it=self._optional)

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        self._on_port(port)
        address = port.getHost()
        everywhere = getattr(address, "host", "") in _EVERY_ADDRESS
        self.url = f"{_URL_SCHEMES.get(self._scheme, self._scheme)}://{_written(address)}"
        if not self._is_told:
            return
        if self._scheme == "metrics":
            self._log.info("monitoring may ask at {url}/metrics", url=self.url)
            return
        if self._scheme == "page":
            if isinstance(address, UNIXAddress):
                self._log.info("the operator's page is at /admin of {path}", path=_written(address))
            else:
                self._log.info("the operator's page is at {url}/admin", url=self.url)
            return
        if self._scheme == "fleet":
            self._log.info("other nodes may ask at {url}", url=self.url)
            return
        what = " (every address of this machine)" if everywhere else ""
        if self._scheme in ("proxy", "proxy_tls"):
            self._log.info("clients may have {url} as their HTTPS_PROXY{what}", url=self.url, what=what)
            return
        self._log.info("crproxy listens on {url}{what}", url=self.url, what=what)
        host = _from_here(address) if self._known_as is None else self._known_as
        if host:
            self._log.info("try: docker pull {host}/quay.io/prometheus/busybox:latest", host=host)

    def _explain(self, failure: Failure) -> str:
        taken = parse_endpoint(self._description).port

        def free(port: int) -> int:
            """Return a port to propose, which is not the one that cannot be had."""
            return port + 1 if port == taken else port

        option = f"--{self._scheme}"
        advice = f"Give another endpoint with {option}, such as {option} tcp:{free(5001)}:interface=127.0.0.1"
        if self._scheme == "admin":
            advice = 'Set another endpoint as admin under [listen], or admin = "" for none'
        if self._scheme == "metrics":
            advice = f"Set another endpoint as listen under [metrics], such as tcp:{free(9092)}:interface=127.0.0.1"
        if self._scheme == "page":
            advice = f"Set another endpoint as listen under [admin], such as tcp:{free(5081)}:interface=127.0.0.1"
        if self._scheme == "fleet":
            advice = f"Set another endpoint as listen under [fleet], such as tcp:{free(5444)}"
        if self._scheme in ("proxy", "proxy_tls"):
            advice = f"Set another endpoint as listen or listen_tls under [proxy], such as tcp:{free(3129)}"
        return f"cannot listen on {self._description}: {_cause(self._description, failure)}. {advice}"


def _cause(description: str, failure: Failure) -> str:
    """Return why an endpoint cannot be listened on, and what may help."""
    error = getattr(failure.value, "socketError", failure.value)
    said = str(error)
    if said == _LOCKED:
        return "another daemon has it, of the same data directory or with the same endpoint: stop that one first"
    why = error.strerror if isinstance(error, OSError) and error.strerror else failure.getErrorMessage().rstrip(".")
    hint = (_SOCKET_HINTS if description.startswith("unix:") else _HINTS).get(getattr(error, "errno", None) or 0)
    return why if hint is None else f"{why}: {hint}"


def _path_is_gone(failure: Failure) -> None:
    """Be content with a port whose socket somebody has removed, such as who cleans directories of temporary files."""
    failure.trap(FileNotFoundError)


def status_of(listeners: MultiService) -> str:
    """Return where it listens, in a line."""
    urls = [service.url for service in listeners if isinstance(service, Listener)]
    return f"listens on {', '.join(url for url in urls if url.startswith('http'))}"


def _from_here(address: IAddress) -> str:
    """Return the address as this machine writes it in front of an image's name."""
    if isinstance(address, IPv4Address | IPv6Address) and address.host in _EVERY_ADDRESS:
        return f"localhost:{address.port}"
    return _written(address)


def _written(address: IAddress) -> str:
    """Return the address as it is written in a URL."""
    if isinstance(address, UNIXAddress):
        return os.fsdecode(address.name or b"")
    if not isinstance(address, IPv4Address | IPv6Address):
        return str(address)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
