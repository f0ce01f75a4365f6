"""When a CA wants a certificate renewed: ACME Renewal Information (RFC 9773). Pure; knows no requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ..policy.urls import origin_of
from .documents import Members
from .errors import Malformed
from .jws import base64url

__all__ = ["RenewalInfo", "certificate_id"]

# "Retry-After is invalid or not present ... as soon as possible after six hours" (4.3.3)
_USUAL_INTERVAL = 6 * 3600
# "values under one minute could be treated as if they were one minute, and values over one day ... as one day" (4.3.2)
_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 60, 24 * 3600

# RFC 3339; what datetime reads beyond that is not meant.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """The window in which the CA suggests to renew a certificate (RFC 9773, 4.2).

    Arguments:
        start, end: of the window.
        explanation: a page that says why, for the operator.
        ask_again: after how many seconds the CA wants to be asked for this again.
    """

    start: datetime
    end: datetime
    explanation: str | None
    ask_again: int

    @classmethod
    def parse(cls, document: object, retry_after: int | None) -> RenewalInfo:
        """Read what came with this Retry-After, or raise Malformed."""
        members = Members("renewal information", document)
        window = Members("a suggested window", members.required("suggestedWindow", dict))
        start, end = _timestamp(window.text("start")), _timestamp(window.text("end"))
        # "A RenewalInfo object in which the end timestamp equals or precedes the start timestamp is invalid." (4.2)
        if end <= start:
            raise Malformed("the CA suggests a window to renew in that ends before it begins")
        explanation = members.optional("explanationURL", str) or ""
        interval = _USUAL_INTERVAL if retry_after is None else retry_after
        return cls(
            start,
            end,
            explanation if origin_of(explanation) else None,
            min(max(interval, _SHORTEST_INTERVAL), _LONGEST_INTERVAL),
        )

    def moment(self, fraction: float) -> datetime:
        """Return a moment of the window: "Select a uniform random time within the suggested window" (4.2).

        Arguments:
            fraction: where in the window, from 0 to 1.
        """
        return self.start + (self.end - self.start) * fraction


def certificate_id(certificate: x509.Certificate) -> str | None:
    """Return what the CA knows ``certificate`` by (4.1); None where it does not say what key signed it."""
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    return None if issuer is None else f"{base64url(issuer)}.{base64url(_integer(certificate.serial_number))}"


def _integer(number: int) -> bytes:
    """Return the bytes of a DER INTEGER (X.690, 8.3): the first bit is the sign's."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _timestamp(text: str) -> datetime:
    try:
        if _TIMESTAMP.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    raise Malformed("the CA sent a time that is not one of RFC 3339")
