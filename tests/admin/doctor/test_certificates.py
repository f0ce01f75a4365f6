from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from crproxy.admin.doctor.certificates import judge, kept_file
from crproxy.admin.doctor.findings import Area, Finding
from crproxy.admin.doctor.grouping import grouped
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


FILE = Path("/etc/crproxy/certs/cr.pem")


def judged_by_itself(*, days_left: float, file: Path | None, name: str = "cr.test") -> Finding:
    """What is said of a certificate that is signed by itself."""
    own = self_signed("cr.test", ENDS.timestamp())
    complaints = {SELF_SIGNED} if days_left > 0 else {SELF_SIGNED, ENDED}
    shown = ShownCertificate(name, own.leaf, frozenset(complaints))
    now = own.not_after - days_left * DAY
    return judge(Area.CERTIFICATES, name, shown, now, kept_by_hand=True, file=file)


def test_crproxys_own_one_is_told_as_that() -> None:
    found = judged_by_itself(days_left=5, file=None)
    assert found.outcome.value == "failed"
    assert "signed by itself, which clients refuse" in found.text
    assert "No CA has issued one yet" in found.advice


def test_the_operators_own_one_is_a_warning() -> None:
    found = judged_by_itself(days_left=5, file=FILE)
    assert found.outcome.value == "warning"
    assert f"({FILE}) is signed by itself" in found.text
    assert "Install it on every client" in found.advice


def test_of_one_that_has_ended_that_is_told_whoever_has_signed_it() -> None:
    found = judged_by_itself(days_left=-1, file=FILE)
    assert found.outcome.value == "failed"
    assert "signed by itself, ended on" in found.text
    assert found.advice.startswith(f"Put a new one, with its key, into {FILE}")
    assert "Who was given the old one to trust" in found.advice
    assert "No CA" not in found.advice
    assert found.depends_on is Area.CLOCK


def test_of_one_that_no_file_has_the_ca_is_to_be_asked() -> None:
    assert "why the CA issues none" in judged("cr.test", ENDED, days_left=-1).advice


def test_one_certificate_for_many_names_is_told_once() -> None:
    names = ("cr.test", "docker.cr.test", "quay.cr.test")
    (cause,) = grouped(judged(name, ENDED, days_left=-1.0) for name in names)
    assert cause.subject == ", ".join(names)
    assert cause.text == "their certificate ended on 2026-04-01 00:00 UTC"
    (well,) = grouped(judged(name) for name in names)
    assert well.text.startswith("good until 2026-04-01")


def test_the_file_that_a_certificate_comes_from_is_found(tmp_path: Path) -> None:
    one, other = self_signed("cr.test", ENDS.timestamp()), self_signed("cr.test", ENDS.timestamp())
    (tmp_path / "a.pem").write_text("nonsense")
    (tmp_path / "b.pem").write_bytes(one.to_pem())
    assert kept_file(tmp_path, one.leaf) == tmp_path / "b.pem"
    assert kept_file(tmp_path, other.leaf) is None
    assert kept_file(tmp_path / "nothing", one.leaf) is None
