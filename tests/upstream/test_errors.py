from __future__ import annotations

import ssl

import pytest
from twisted.internet import defer, error
from twisted.internet.address import HostnameAddress
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from crproxy.upstream.errors import (
    TRANSPORT_ERRORS,
    RefusedAddress,
    RefusedByProxy,
    describe,
    innermost,
    is_of_trust,
    kind_of,
)
from crproxy.upstream.relay import BodyBroke, BodyTooLarge


def unverified(code: int, why: str) -> ssl.SSLCertVerificationError:
    failure = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    failure.verify_code, failure.verify_message = code, why
    return failure


def refused(reason: str | None) -> ssl.SSLError:
    failure = ssl.SSLError(1, "refused")
    setattr(failure, "reason", reason)  # noqa: B010 - typeshed says that there always is one
    return failure


def wrapped(reason: BaseException) -> ResponseNeverReceived:
    return ResponseNeverReceived([Failure(RequestTransmissionFailed([Failure(reason)]))])


def test_the_innermost_error_is_at_the_bottom_of_twisteds_wrappers() -> None:
    reason = OSError("bottom")
    assert innermost(wrapped(reason)) is reason
    assert innermost(reason) is reason


def test_of_several_reasons_the_last_counts() -> None:
    first, last = OSError("first"), OSError("last")
    assert innermost(ResponseFailed([Failure(first), Failure(last)])) is last


def test_a_wrapper_without_a_reason_is_its_own() -> None:
    empty = ResponseFailed([])
    assert innermost(empty) is empty


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (defer.TimeoutError(30, "x"), "it did not answer in time"),
        (error.TimeoutError(), "it did not answer in time"),
        (error.ConnectingCancelledError(HostnameAddress(b"a.test", 443)), "it did not answer in time"),
        (error.TCPTimedOutError(), "it did not answer in time"),
        (error.DNSLookupError("no"), "its name cannot be resolved"),
        (error.ConnectionRefusedError(), "it refuses connections"),
        (error.ConnectionLost(), "the connection broke (ConnectionLost)"),
        (error.ConnectionDone(), "the connection broke (ConnectionDone)"),
        (error.NoRouteError(), "the connection broke (NoRouteError)"),
        (RefusedAddress("its name leads to 10.0.0.1"), "its name leads to 10.0.0.1"),
        (BodyBroke("upstream sent nothing for 60 s"), "upstream sent nothing for 60 s"),
        (BodyTooLarge("a body of 2 bytes"), "a body of 2 bytes"),
        (unverified(62, "Hostname mismatch"), "its certificate is for another name"),
        (unverified(64, "IP address mismatch"), "its certificate is for another name"),
        (unverified(10, "certificate has expired"), "TLS failed: certificate verify failed: certificate has expired"),
        (refused("WRONG_VERSION_NUMBER"), "TLS failed: wrong version number"),
        (refused(None), "TLS failed: no reason given"),
        (OSError("broken"), "OSError: broken"),
        (OSError(), "OSError"),
    ],
)
def test_what_went_wrong_is_said_in_a_few_words(reason: Exception, words: str) -> None:
    assert describe(reason) == words
    assert describe(wrapped(reason)) == words


@pytest.mark.parametrize(
    "reason", [wrapped(OSError()), error.ConnectionLost(), defer.TimeoutError(), error.DNSLookupError(), ssl.SSLError()]
)
def test_what_ends_an_attempt_may_be_tried_again(reason: Exception) -> None:
    assert isinstance(reason, TRANSPORT_ERRORS)


def test_a_cancellation_ends_more_than_an_attempt() -> None:
    assert not isinstance(defer.CancelledError(), TRANSPORT_ERRORS)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (defer.TimeoutError(30, "x"), "timeout"),
        (error.TCPTimedOutError(), "timeout"),
        (error.DNSLookupError("no"), "dns"),
        (error.ConnectionRefusedError(), "connection"),
        (error.ConnectionLost(), "connection"),
        (RefusedAddress("x"), "address"),
        (RefusedByProxy("x"), "proxy"),
        (unverified(62, "Hostname mismatch"), "tls"),
        (refused("WRONG_VERSION_NUMBER"), "tls"),
        (OSError("x"), "other"),
    ],
)
def test_each_has_one_of_few_words(reason: BaseException, kind: str) -> None:
    assert kind_of(reason) == kind_of(wrapped(reason)) == kind


@pytest.mark.parametrize(
    ("reason", "is_so"),
    [
        (unverified(18, "self-signed certificate"), True),
        (wrapped(unverified(20, "unable to get local issuer certificate")), True),
        # For another name, and for the time.
        (unverified(62, "Hostname mismatch"), False),
        (unverified(10, "certificate has expired"), False),
        (refused("WRONG_VERSION_NUMBER"), False),
        (None, False),
    ],
)
def test_a_certificate_that_nobody_vouches_for_is_known(reason: BaseException | None, is_so: bool) -> None:
    assert is_of_trust(reason) is is_so
