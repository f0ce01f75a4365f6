from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from crproxy.acme.errors import Malformed
from crproxy.acme.renewal import RenewalInfo, certificate_id
from tests.acme.fake_ca import unpadded
from tests.outcomes import outcome

KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime(2026, 1, 1, tzinfo=UTC)

# RFC 9773, 4.1 and appendix A.
ISSUER = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
SERIAL = 0x87654321


def certificate(serial: int, issuer: x509.AuthorityKeyIdentifier | None) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), serial, DAY, DAY + timedelta(days=1))
    if issuer is not None:
        builder = builder.add_extension(issuer, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def signed_by(issuer: bytes | None) -> x509.AuthorityKeyIdentifier:
    if issuer is not None:
        return x509.AuthorityKeyIdentifier(issuer, None, None)
    return x509.AuthorityKeyIdentifier(None, [x509.DNSName("ca.example")], 1)


def test_a_certificate_is_known_by_what_the_specification_says() -> None:
    assert certificate_id(certificate(SERIAL, signed_by(ISSUER))) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize("issuer", [None, signed_by(None)])
def test_a_certificate_that_names_no_key_is_not_known(issuer: x509.AuthorityKeyIdentifier | None) -> None:
    assert certificate_id(certificate(SERIAL, issuer)) is None


@given(st.integers(1, 2**159 - 1), st.binary(min_size=1, max_size=32))
def test_a_serial_number_is_written_as_in_the_certificate(serial: int, issuer: bytes) -> None:
    known_by = certificate_id(certificate(serial, signed_by(issuer)))
    assert known_by is not None
    first, second = map(unpadded, known_by.split("."))
    assert first == issuer
    assert int.from_bytes(second, "big", signed=True) == serial
    # DER has the shortest form, and the certificate has these very bytes as its serial number.
    assert b"\x02" + bytes([len(second)]) + second in certificate(serial, None).tbs_certificate_bytes


def window(start: object = "2026-01-03T00:00:00Z", end: object = "2026-01-07T00:00:00Z") -> dict[str, object]:
    return {"suggestedWindow": {"start": start, "end": end}}


def test_a_window() -> None:
    info = RenewalInfo.parse({**window(), "explanationURL": "https://ca.example/why"}, 21600)
    assert info.start == datetime(2026, 1, 3, tzinfo=UTC)
    assert info.end == datetime(2026, 1, 7, tzinfo=UTC)
    assert info.explanation == "https://ca.example/why"
    assert info.ask_again == 21600
    assert info.moment(0.25) == datetime(2026, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(("asked", "interval"), [(None, 21600), (0, 60), (59, 60), (3600, 3600), (86400, 86400)])
def test_it_is_asked_for_within_limits(asked: int | None, interval: int) -> None:
    assert RenewalInfo.parse(window(), asked).ask_again == interval


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T14:09:07.99Z", datetime(2026, 1, 5, 14, 9, 7, 990000, tzinfo=UTC)),
        ("2026-01-05t14:09:07.123456789z", datetime(2026, 1, 5, 14, 9, 7, 123456, tzinfo=UTC)),
        ("2026-01-05T14:09:07+02:00", datetime(2026, 1, 5, 14, 9, 7, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_times_of_rfc_3339(text: str, moment: datetime) -> None:
    assert RenewalInfo.parse(window(text), None).start == moment


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"suggestedWindow": []},
        window(end=None),
        window(end=7),
        window(end="2026-01-03T00:00:00Z"),
        window(end="2025-01-03T00:00:00Z"),
        window(end="2026-01-07"),
        window(end="2026-01-07T00:00:00"),
        window(end="2026-13-07T00:00:00Z"),
        window(end="2026-W02-3T00:00:00Z"),
        window(end="2026-01-07T00:00:00+99:00"),
    ],
)
def test_what_is_no_window(document: object) -> None:
    with pytest.raises(Malformed):
        RenewalInfo.parse(document, None)


@given(st.text(max_size=30) | st.datetimes().map(datetime.isoformat), st.integers(0, 10**6) | st.none())
def test_any_text_is_a_time_or_malformed(text: str, retry_after: int | None) -> None:
    assert isinstance(outcome(Malformed, RenewalInfo.parse, window(text), retry_after), RenewalInfo | Malformed)


def test_an_explanation_that_is_no_url_is_left_out() -> None:
    assert RenewalInfo.parse({**window(), "explanationURL": "javascript:alert(1)"}, None).explanation is None
