from __future__ import annotations

import datetime

import pytest
import trustme
from cryptography import x509

from crproxy.admin.doctor.certificates import judge
from crproxy.admin.doctor.findings import Area, Finding
from crproxy.admin.doctor.tls_probe import ShownCertificate
from crproxy.tls.certificates import self_signed

AUTHORITY = trustme.CA()
BEGINS = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ENDS = datetime.datetime(2026, 4, 1, tzinfo=datetime.UTC)
DAY = 86400.0
SELF_SIGNED, NOT_YET, ENDED, NO_ISSUER = 18, 9, 10, 20


def certificate(*names: str) -> x509.Certificate:
    issued = AUTHORITY.issue_cert(*names, not_before=BEGINS, not_after=ENDS)
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())


def judged(name: str, *complaints: int, days_left: float = 30.0, kept_by_hand: bool = False) -> Finding:
    shown = ShownCertificate(name, certificate("cr.test", "*.cr.test", "127.0.0.1"), frozenset(complaints))
    return judge(Area.CERTIFICATES, name, shown, ENDS.timestamp() - days_left * DAY, kept_by_hand=kept_by_hand)


@pytest.mark.parametrize(
    ("name", "days_left", "complaints", "outcome", "said"),
    [
        ("cr.test", 30.0, (), "ok", "good until 2026-04-01 00:00 UTC"),
        ("quay.cr.test", 30.0, (), "ok", "good until"),
        ("127.0.0.1", 30.0, (), "ok", "good until"),
        ("cr.test", 10.5, (), "ok", "good until"),
        ("cr.test", 9.5, (), "warning", "ends in 9 days, on 2026-04-01"),
        ("cr.test", -1.0, (ENDED,), "failed", "ended on 2026-04-01"),
        ("cr.test", 200.0, (NOT_YET,), "failed", "begins on 2026-01-01 00:00 UTC only"),
        ("other.test", 30.0, (), "failed", "is for other names: *.cr.test, cr.test"),
        ("a.b.cr.test", 30.0, (), "failed", "is for other names"),
        ("127.0.0.2", 30.0, (), "failed", "is for other names"),
        ("cr.test", 30.0, (NO_ISSUER,), "failed", "whom this machine does not trust"),
    ],
)
def test_what_clients_would_say(
    name: str, days_left: float, complaints: tuple[int, ...], outcome: str, said: str
) -> None:
    found = judged(name, *complaints, days_left=days_left)
    assert found.outcome.value == outcome
    assert said in found.text


def test_an_authority_of_the_operators_own_is_a_warning() -> None:
    assert judged("cr.test", NO_ISSUER, kept_by_hand=True).outcome.value == "warning"


def test_one_that_is_signed_by_itself_is_told_as_that() -> None:
    own = self_signed("cr.test", ENDS.timestamp())
    shown = ShownCertificate("cr.test", own.leaf, frozenset({SELF_SIGNED}))
    found = judge(Area.CERTIFICATES, "cr.test", shown, ENDS.timestamp(), kept_by_hand=True)
    assert found.outcome.value == "failed"
    assert "signed by itself" in found.text
