"""What can be wrong with a request for an image, and how that is said to the person who asked.

An error here carries its whole answer: status, code, message. This file knows nothing of who raises it or of
how it is sent.
"""

from __future__ import annotations

import enum
import json

__all__ = ["ErrorCode", "RegistryError", "errors_body"]


class ErrorCode(enum.Enum):
    """The distribution specification's error codes ("Error Codes"), and UNAVAILABLE, which Docker's registry added."""

    NAME_INVALID = enum.auto()
    TAG_INVALID = enum.auto()
    DIGEST_INVALID = enum.auto()
    MANIFEST_INVALID = enum.auto()
    UNAUTHORIZED = enum.auto()
    DENIED = enum.auto()
    NAME_UNKNOWN = enum.auto()
    MANIFEST_UNKNOWN = enum.auto()
    BLOB_UNKNOWN = enum.auto()
    UNSUPPORTED = enum.auto()
    TOOMANYREQUESTS = enum.auto()
    UNAVAILABLE = enum.auto()

    @property
    def status(self) -> int:
        """The HTTP status that this code is usually answered with."""
        return _STATUSES[self]


_STATUSES = {
    ErrorCode.NAME_INVALID: 400,
    ErrorCode.TAG_INVALID: 400,
    ErrorCode.DIGEST_INVALID: 400,
    ErrorCode.MANIFEST_INVALID: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.DENIED: 403,
    ErrorCode.NAME_UNKNOWN: 404,
    ErrorCode.MANIFEST_UNKNOWN: 404,
    ErrorCode.BLOB_UNKNOWN: 404,
    ErrorCode.UNSUPPORTED: 405,
    ErrorCode.TOOMANYREQUESTS: 429,
    ErrorCode.UNAVAILABLE: 503,
}


class RegistryError(Exception):
    """A request that cannot be fulfilled.

    Arguments:
        code: says what kind of error it is, in the specification's words.
        message: for the person at the other end of ``docker pull``: names the upstream, what it said and
            what to type instead.
        status: the HTTP status, where it differs from the code's usual one.
        retry_after: seconds after which to ask again; sent as ``Retry-After`` (RFC 9110, 10.2.3).
        challenge: how to log in; sent as ``WWW-Authenticate`` (RFC 9110, 11.6.1).
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        status: int | None = None,
        retry_after: int | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = code.status if status is None else status
        self.retry_after = retry_after
        self.challenge = challenge

    def with_hint(self, hint: str) -> RegistryError:
        """Return this error with something more to say."""
        return RegistryError(
            self.code,
            f"{self.message}; {hint}",
            status=self.status,
            retry_after=self.retry_after,
            challenge=self.challenge,
        )

    def __str__(self) -> str:
        return f"{self.status} {self.code.name}: {self.message}"

    def headers(self) -> dict[str, str]:
        """The headers this error is answered with, apart from the body's length."""
        headers = {"Content-Type": "application/json"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.challenge is not None:
            headers["WWW-Authenticate"] = self.challenge
        return headers

    def body(self) -> bytes:
        """The JSON that the specification asks for ("Error Codes")."""
        return errors_body(self.code.name, self.message)


def errors_body(code: str, message: str) -> bytes:
    """Return the specification's error document with one error in it."""
    document = {"errors": [{"code": code, "message": message, "detail": None}]}
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"
