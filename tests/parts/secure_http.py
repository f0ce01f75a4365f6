"""An HTTPS client that asks one address by any name, and tells which certificate it was shown.

Its connections are kept alive: one asks as often as it is told to, and never connects a second time by itself.
"""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Self

from .raw_http import Reply

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SecureConnection", "refusal"]

_PATIENCE = 20


class SecureConnection:
    """A connection to a port of 127.0.0.1, made at once; leaving the ``with`` block closes it.

    Arguments:
        name: is asked for by SNI and in Host, and looked for in the certificate.
        root: the authority that is trusted, a file in PEM.

    Raises:
        ssl.SSLError: the server refused, or showed something that is not to be trusted.
    """

    def __init__(self, port: int, name: str, root: Path) -> None:
        context = ssl.create_default_context(cafile=str(root))
        # Host has the port as clients send it; the address is the socket's.
        self._http = HTTPConnection(name, port)
        # It would connect again, unseen, where the server has closed.
        self._http.auto_open = 0
        plain = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        self._http.sock = self._socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def serial(self) -> str:
        """The serial number of the certificate that it was shown."""
        certificate = self._socket.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])

    def get(self, target: str, *fields: tuple[str, str]) -> Reply:
        """Ask once more; raise OSError or HTTPException where there is no whole answer."""
        self._http.request("GET", target, headers=dict(fields))
        response = self._http.getresponse()
        return Reply(response.status, response.headers, response.read())


def refusal(port: int, name: str, *protocols: str) -> str:
    """Return by which alert a port of 127.0.0.1 refuses ``name``, in OpenSSL's word; empty where it does not.

    Arguments:
        protocols: what is offered by ALPN.
    """
    # Any certificate would do: what counts is whether one is shown.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as plain:
        try:
            context.wrap_socket(plain, server_hostname=name).close()
        except ssl.SSLError as error:
            return error.reason
    return ""
