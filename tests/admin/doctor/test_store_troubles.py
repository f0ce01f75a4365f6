from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.doctor.store_troubles import explain

CONNECT = "Generic S3 error: HTTP error: error sending request\n\nDebug source: HttpError { kind: Connect, source: "


def answer(status: str, code: str) -> str:
    """As obstore tells of an error that S3 has sent."""
    body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>No.</Message></Error>'
    return f"Generic S3 error: Error performing GET http://s3.test/b in 2ms - Server returned {status}: {body}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (answer("403 Forbidden", "InvalidAccessKeyId"), "it knows no such access key"),
        (answer("404 Not Found", "XAdminUserNotFound"), "it knows no such access key"),
        (answer("403 Forbidden", "SignatureDoesNotMatch"), "the secret is not that of the access key"),
        (answer("403 Forbidden", "RequestTimeTooSkewed"), "this machine's clock is wrong"),
        (answer("404 Not Found", "NoSuchBucket"), "there is no such bucket"),
        (answer("400 Bad Request", "AuthorizationHeaderMalformed"), "the bucket is in another region"),
        (answer("400 Bad Request", "ExpiredToken"), "the session's token is not good any more"),
        (answer("507 Insufficient Storage", "Whatever"), "it has no room left"),
        (answer("403 Forbidden", "AccessDenied"), "it may not be used like this"),
        ("Error performing PUT http://169.254.169.254/latest/api/token in 1ms", "there are no credentials: none are"),
        ("Generic MicrosoftAzure error: Account must be specified", "nobody says whose account it is"),
        (CONNECT + "InvalidMessage( InvalidContentType, )", "it does not speak TLS there"),
        (CONNECT + "InvalidCertificate( UnknownIssuer, )", "its certificate is nobody's that is trusted here"),
        (CONNECT + "InvalidCertificate( NotValidForName, )", "its certificate is for another name"),
        (CONNECT + "InvalidCertificate( Expired, )", "its certificate has ended"),
        (CONNECT + 'ConnectError( "dns error", )', "its name cannot be resolved"),
        (CONNECT + "Os { code: 111, kind: ConnectionRefused }", "nothing listens there"),
        (CONNECT + "Os { code: 113, kind: HostUnreachable }", "it cannot be reached"),
        ("HTTP error: error sending request HttpError { kind: Timeout, }", "it does not answer in time"),
    ],
)
def test_what_is_known_is_said_with_what_to_do(text: str, said: str) -> None:
    trouble = explain(text)
    assert trouble.said.startswith(said)
    assert trouble.advice


def test_what_nobody_knows_is_quoted_in_short() -> None:
    assert explain("Something new\nand much more").said == "Something new"
    assert len(explain("x" * 5000).said) == 300
    assert explain("").said == "it fails, and does not say why"


@given(st.text())
def test_whatever_it_is_something_is_said(text: str) -> None:
    trouble = explain(text)
    assert trouble.advice
    assert "\n" not in trouble.said
