"""The whole of issuing in memory: our client, txacme's service, the plan and the table, with a CA that signs."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from crproxy.tls.plan import State
from tests.acme.fake_ca import ORIGIN, problem
from tests.logs import Log
from tests.tls.conftest import NAMES, Certifying

DAY = 86400.0


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_every_name_gets_its_own_certificate_the_domain_first(certifying: Certifying, challenge: str) -> None:
    certifying.start(challenge=challenge)
    certifying.advance(30)
    assert certifying.issued() == list(NAMES)
    for name in NAMES:
        shown = certifying.shown(name)
        assert shown is not None
        assert shown.names == {name}
        assert len(shown.chain) == 2
    assert certifying.ca.ordered[0] == "cr.test"
    assert sorted(certifying.ca.ordered) == sorted(NAMES)
    assert {state.state for state in certifying.certificates.states()} == {State.VALID}
    assert {state.name for state in certifying.certificates.states()} == certifying.certificates.issuers().keys()
    assert all("=" in issuer for issuer in certifying.certificates.issuers().values())


def test_no_answer_is_left_standing(certifying: Certifying) -> None:
    certifying.start()
    certifying.advance(30)
    assert all(certifying.certificates.find_answer(f"token-{number}") is None for number in range(4))


def test_a_name_that_is_validated_already_needs_no_answer(certifying: Certifying) -> None:
    certifying.ca.validated.update(NAMES)
    certifying.start()
    certifying.advance(30)
    assert certifying.issued() == list(NAMES)
    assert not any("http-01" in path for path in certifying.ca.asked)


@pytest.mark.security("S22")
def test_a_restart_requests_nothing_again(certifying: Certifying) -> None:
    certifying.start()
    certifying.advance(30)
    before, asked = certifying.shown("cr.test"), len(certifying.ca.posts)
    certifying.restart()
    certifying.advance(7200)
    after = certifying.shown("cr.test")
    assert before is not None
    assert after is not None
    assert after.leaf == before.leaf
    assert len(certifying.ca.posts) == asked


def test_all_renew_at_the_last_third_of_their_life(certifying: Certifying) -> None:
    certifying.ca.lifetime = 6 * DAY
    certifying.start()
    certifying.advance(30)
    certifying.advance(4 * DAY - 3600)
    assert len(certifying.ca.ordered) == len(NAMES)
    before = certifying.shown("a.cr.test")
    certifying.advance(3700)
    assert sorted(certifying.ca.ordered) == sorted([*NAMES, *NAMES])
    assert certifying.shown("a.cr.test") is not before


def test_until_there_is_one_something_stands_in_and_the_log_says_so_once(certifying: Certifying, log: Log) -> None:
    certifying.ca.down = True
    certifying.start()
    for _ in range(3):
        shown = certifying.shown("a.cr.test")
        assert shown is not None
        assert shown.leaf.issuer == shown.leaf.subject
    said = [line for line in log.lines if line.startswith("a.cr.test has no certificate, until the CA has issued one")]
    assert len(said) == 1


@pytest.mark.security("S22")
def test_a_ca_that_is_down_is_asked_less_and_less(certifying: Certifying, log: Log) -> None:
    certifying.ca.down = True
    certifying.start()
    certifying.advance(3600)
    # One directory for each attempt of each of the three that are worked at at a time.
    attempts = len(certifying.ca.asked)
    assert 4 <= attempts <= 3 * 9
    assert log.failures == []
    (first, *_) = [line for line in log.lines if "has no new certificate" in line]
    assert "ca.example" in first
    assert "the next attempt is at 2023-11-14 22:13:50 UTC" in first
    certifying.ca.down = False
    certifying.advance(3600)
    assert certifying.issued() == list(NAMES)


@pytest.mark.security("S22")
def test_a_busy_ca_is_left_alone_for_as_long_as_it_said(certifying: Certifying) -> None:
    certifying.ca.busy = problem("rateLimited", 429, "Retry-After: 5000")
    certifying.start()
    asked = len(certifying.ca.posts)
    certifying.advance(4990)
    assert len(certifying.ca.posts) == asked
    certifying.ca.busy = None
    certifying.advance(60)
    assert certifying.issued() == list(NAMES)


def test_one_refused_name_holds_up_no_other(certifying: Certifying, log: Log) -> None:
    certifying.ca.refusals["a.cr.test"] = problem("rejectedIdentifier", detail="not this one")
    certifying.start()
    certifying.advance(60)
    assert certifying.issued() == ["cr.test", "b.cr.test", "c.cr.test"]
    states = {state.name: state for state in certifying.certificates.states()}
    assert states["a.cr.test"].state is State.FAILED
    assert "not this one" in (states["a.cr.test"].why or "")
    (said,) = [line for line in log.lines if line.startswith("a.cr.test has no new certificate")]
    assert "This CA issues no certificate for a.cr.test: remove the alias" in said
    certifying.advance(3600)
    assert certifying.ca.ordered.count("a.cr.test") <= 5


def test_an_account_that_is_refused_is_asked_for_once_and_not_for_each_name(certifying: Certifying, log: Log) -> None:
    certifying.ca.account = problem("unauthorized", detail="who are you?")
    certifying.start()
    certifying.advance(20)
    assert [post.path for post in certifying.ca.posts] == ["/account"]
    said = [line for line in log.lines if "has no new certificate" in line]
    assert 1 <= len(said) <= 3
    assert all("Check eab_key_id and eab_hmac_file under [acme]; the next attempt is at" in line for line in said)
    assert {state.state for state in certifying.certificates.states()} == {State.FAILED}


def test_a_failed_validation_says_what_the_ca_saw_and_what_to_check(certifying: Certifying, log: Log) -> None:
    certifying.ca.sees = lambda kind, name, token: name != "b.cr.test"
    certifying.start()
    certifying.advance(60)
    (said,) = [line for line in log.lines if line.startswith("b.cr.test has no new certificate")]
    assert "fetching b.cr.test: connection refused" in said
    assert "Check that port 80 of b.cr.test leads here" in said
    assert log.failures == []


def test_a_clock_a_year_ahead_does_not_ask_without_end(certifying: Certifying, log: Log) -> None:
    certifying.ca.behind = 365 * DAY
    certifying.start()
    certifying.advance(23 * 3600)
    assert len(certifying.ca.ordered) == len(NAMES)
    assert certifying.issued() == list(NAMES)
    assert "is this machine's clock right?" in (certifying.certificates.states()[0].why or "")


def test_a_name_that_is_added_gets_one_at_once(certifying: Certifying) -> None:
    certifying.start()
    certifying.advance(30)
    certifying.certificates.rename((*NAMES, "new.cr.test"))
    certifying.advance(10)
    assert certifying.ca.ordered[len(NAMES) :] == ["new.cr.test"]
    assert certifying.issued() == [*NAMES, "new.cr.test"]
    certifying.certificates.rename(NAMES)
    assert certifying.shown("new.cr.test") is None


@pytest.mark.security("S22")
def test_no_handshake_starts_an_issuance(certifying: Certifying) -> None:
    certifying.start()
    certifying.advance(30)
    asked = len(certifying.ca.asked)
    for number in range(1000):
        assert certifying.shown(f"random{number}.cr.test") is None
    certifying.advance(60)
    assert len(certifying.ca.asked) == asked


def test_the_ca_says_when_to_renew(certifying: Certifying) -> None:
    """RFC 9773: sooner than its last third, for a reason of the CA's."""
    certifying.ca.offer(renewalInfo=f"{ORIGIN}/renewal")
    now = certifying.network.clock.seconds()
    window = {"start": _timestamp(now + 5 * DAY), "end": _timestamp(now + 5 * DAY + 600)}
    certifying.ca.script_renewal({"suggestedWindow": window})
    certifying.start()
    certifying.advance(30)
    certifying.advance(5 * DAY - 3700)
    assert len(certifying.ca.ordered) == len(NAMES)
    certifying.advance(2 * 3700)
    assert len(certifying.ca.ordered) == 2 * len(NAMES)


def _timestamp(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()


def test_a_disk_that_cannot_be_written_still_shows_what_was_issued(
    certifying: Certifying, log: Log, tmp_path: Path
) -> None:
    certifying.start()
    (tmp_path / "acme" / "ca.example" / "certificates").write_text("in the way")
    certifying.advance(30)
    assert certifying.issued() == list(NAMES)
    assert any("cannot be kept, so the next start asks for another" in line for line in log.lines)


def test_an_account_key_that_is_none_is_told_and_the_daemon_goes_on(
    certifying: Certifying, log: Log, tmp_path: Path
) -> None:
    (tmp_path / "acme" / "ca.example").mkdir(parents=True)
    (tmp_path / "acme" / "ca.example" / "account.pem").write_text("junk")
    certifying.start()
    assert certifying.shown("cr.test") is not None
    assert any("the account has no key" in line for line in log.lines)


def test_without_a_ca_the_log_says_what_to_set(certifying: Certifying, log: Log) -> None:
    certifying.start(directory=None)
    certifying.shown("cr.test")
    assert any("and nothing issues one: set --certs or --acme-directory" in line for line in log.lines)
    assert certifying.ca.asked == []
    assert {state.next_attempt for state in certifying.certificates.states()} == {None}
