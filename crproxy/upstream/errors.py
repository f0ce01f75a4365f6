"""What can go wrong between us and an upstream, and how to say it."""

from __future__ import annotations

import errno
import ssl

from twisted.internet import defer, error
from twisted.python.failure import Failure
from twisted.web import client
from twisted.web import error as web_error

from ..policy.redaction import redacted
from .relay import BodyBroke, BodyTooLarge

__all__ = [
    "TRANSPORT_ERRORS",
    "BrokenHeader",
    "HostIsDown",
    "RefusedAddress",
    "RefusedByProxy",
    "TooManySockets",
    "broke_off",
    "describe",
    "innermost",
    "is_of_time",
    "is_of_trust",
    "is_ours",
    "kind_of",
]

# The process's own descriptors, and the system's, are used up.
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH (openssl/x509_vfy.h)
_OTHER_NAMES = (62, 64)
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED
_OF_TIME = (9, 10)
# The kernel knows no way there, or a firewall's rule says so.
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM)


class BrokenHeader(OSError):
    """Upstream sent something that is no answer."""


class HostIsDown(OSError):
    """It answers nothing, which was found out before."""


class RefusedAddress(OSError):
    """The name leads to an address that must not be connected to."""


class RefusedByProxy(OSError):
    """The proxy between us and upstream does not let us through."""


class TooManySockets(OSError):
    """We have as many connections to upstreams as we may."""


# What ends one attempt, and may be tried again. Named one by one because CancelledError is an Exception, too.
TRANSPORT_ERRORS = (
    client.ResponseFailed,
    client.ResponseNeverReceived,
    client.RequestTransmissionFailed,
    defer.TimeoutError,
    error.ConnectError,
    error.ConnectionAborted,
    error.ConnectionClosed,
    error.DNSLookupError,
    error.TimeoutError,
    web_error.Error,
    OSError,
)


def innermost(reason: BaseException) -> BaseException:
    """Return the error at the bottom of Twisted's wrappers."""
    reasons: list[Failure] = getattr(reason, "reasons", [])
    inner = reasons[-1].value if reasons else None
    return reason if inner is None else innermost(inner)


def is_ours(reason: BaseException) -> bool:
    """Tell whether it is we who cannot ask: it says nothing of upstream, and asking again at once makes it worse."""
    root = innermost(reason)
    return isinstance(root, TooManySockets) or _errno(root) in _NO_DESCRIPTORS


def is_of_time(reason: BaseException) -> bool:
    """Tell whether a certificate was refused for the time that it is: here, or there."""
    root = innermost(reason)
    return isinstance(root, ssl.SSLCertVerificationError) and root.verify_code in _OF_TIME


def is_of_trust(reason: BaseException | None) -> bool:
    """Tell whether nobody who is trusted here vouches for a certificate that is otherwise good."""
    root = None if reason is None else innermost(reason)
    if not isinstance(root, ssl.SSLCertVerificationError):
        return False
    return root.verify_code not in _OF_TIME and root.verify_code not in _OTHER_NAMES


def broke_off(reason: BaseException | None) -> bool:
    """Tell whether a server took the connection, and closed it without an answer that can be read."""
    root = None if reason is None else innermost(reason)
    return isinstance(root, error.ConnectionClosed | BrokenHeader | web_error.Error)


def _errno(reason: BaseException) -> int | None:
    number = reason.osError if isinstance(reason, error.ConnectError) else getattr(reason, "errno", None)
    return number if isinstance(number, int) else None


def describe(reason: BaseException) -> str:
    """Say in a few words what went wrong, for the person at the other end of ``docker pull``."""
    root = innermost(reason)
    match root:
        case defer.TimeoutError() | error.TimeoutError() | error.TCPTimedOutError() | error.ConnectingCancelledError():
            return "it did not answer in time"
        case error.DNSLookupError():
            return "its name cannot be resolved"
        case error.ConnectionRefusedError():
            return "it refuses connections"
        case TooManySockets():
            return f"this proxy has too much to ask: {root}"
        case _ if is_ours(root):
            return "this proxy has too many files and connections open (EMFILE)"
        case BrokenHeader() | HostIsDown() | RefusedAddress() | RefusedByProxy() | BodyBroke() | BodyTooLarge():
            return str(root)
        case ssl.SSLCertVerificationError() if root.verify_code in _OTHER_NAMES:
            return "its certificate is for another name"
        case ssl.SSLCertVerificationError():
            return f"TLS failed: certificate verify failed: {root.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {(root.reason or 'no reason given').lower().replace('_', ' ')}"
        case error.ConnectError() if _errno(root) in _NO_WAY:
            return f"it cannot be reached from here ({errno.errorcode[_errno(root) or 0]})"
        case error.ConnectionClosed() | error.ConnectError():
            return f"the connection broke ({type(root).__name__})"
        case _:
            return redacted(f"{type(root).__name__}: {root}".rstrip(": "))


def kind_of(reason: BaseException) -> str:
    """Return in one word, of few that there are, what went wrong."""
    if is_ours(reason):
        return "limit"
    match innermost(reason):
        case defer.TimeoutError() | error.TimeoutError() | error.TCPTimedOutError():
            return "timeout"
        case error.DNSLookupError():
            return "dns"
        case RefusedAddress():
            return "address"
        case RefusedByProxy():
            return "proxy"
        case BrokenHeader() | web_error.Error():
            return "protocol"
        case ssl.SSLError():
            return "tls"
        case error.ConnectionClosed() | error.ConnectError() | error.ConnectionAborted():
            return "connection"
        case _:
            return "other"
