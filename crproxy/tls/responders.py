"""How a CA is shown that a name is ours: by an answer on port 80, or by a certificate on the TLS port."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import IReactorTime
from txacme.interfaces import IResponder
from zope.interface import implementer

from ..sharing import Records
from .accepting import ACME_TLS
from .certificates import Certified, with_extension
from .client_hello import Hello
from .table import Table

__all__ = ["NOT_NEEDED", "AlpnResponder", "HttpResponder", "NothingResponder"]

# What txacme is told to answer where the CA wants nothing shown: it has validated the name before.
NOT_NEEDED = "not-needed"

# id-pe-acmeIdentifier (RFC 8737, 3)
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING = 4


@implementer(IResponder)
class HttpResponder:
    """Answers HTTP-01 (RFC 8555, 8.3): whoever serves port 80 asks here.

    Arguments:
        answers: has each key authorization, by its token.
    """

    challenge_type = "http-01"

    def __init__(self, answers: Records) -> None:
        self._answers = answers

    def find(self, token: str) -> str | None:
        """Return the key authorization for ``token``, while its challenge is open."""
        answer: str | None = self._answers.get(token)
        return answer

    def start_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Answer from now on (IResponder)."""
        self._answers.put(challenge.token, response)

    def stop_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Answer no more (IResponder)."""
        self._answers.drop(challenge.token)


@implementer(IResponder)
class AlpnResponder:
    """Answers TLS-ALPN-01 (RFC 8737) on the TLS port: whoever accepts connections asks here.

    Arguments:
        answers: has each key authorization, by the name that is validated.
        table: what everybody else is shown.
        clock: the time.
        now: seconds since the epoch; the clock's by default.
    """

    challenge_type = "tls-alpn-01"

    def __init__(
        self, answers: Records, table: Table, clock: IReactorTime, *, now: Callable[[], float] | None = None
    ) -> None:
        self._answers = answers
        self._table = table
        self._now = now or clock.seconds

    def choose(self, hello: Hello) -> Certified | None:
        """Return what a client is shown that said ``hello``; None refuses it."""
        if ACME_TLS in hello.protocols:
            return self._validation(hello.server_name or "")
        return self._table.find(hello.server_name)

    def start_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Show the CA what it looks for from now on (IResponder)."""
        self._answers.put(server_name, response)

    def stop_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Show it no more (IResponder)."""
        self._answers.drop(server_name)

    def _validation(self, server_name: str) -> Certified | None:
        response = self._answers.get(server_name)
        if response is None:
            return None
        digest = hashlib.sha256(response.encode("ascii")).digest()
        # "a DER-encoded ... OCTET STRING containing the SHA-256 digest of the key authorization"
        extension = x509.UnrecognizedExtension(_ACME_IDENTIFIER, bytes([_OCTET_STRING, len(digest)]) + digest)
        return with_extension(server_name, self._now(), extension)


@implementer(IResponder)
class NothingResponder:
    """Answers where nothing is asked."""

    challenge_type = NOT_NEEDED

    def start_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Do nothing (IResponder)."""

    def stop_responding(self, server_name: str, challenge: Any, response: str) -> None:
        """Do nothing (IResponder)."""
