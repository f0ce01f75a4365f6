from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crproxy.policy.urls import Origin
from crproxy.tls.certificates import Certified, self_signed
from crproxy.tls.certifying import Certificates
from crproxy.tls.client_hello import Hello
from crproxy.tls.storage import CertificateStorage
from crproxy.tls.table import Table
from crproxy.tls.taking import ISSUED, Taker
from tests.logs import Log
from tests.sharing.crew import Crew
from tests.tls.conftest import NAMES, Certifying

CA = Origin("https", "acme.example", 443)


@dataclass
class Worker:
    """One that asks no CA, beside one that does."""

    data_dir: Path
    crew: Crew = field(default_factory=Crew)

    def __post_init__(self) -> None:
        self.leader = self.crew.member(0)
        self.storage = CertificateStorage(self.data_dir, CA)
        self.table = Table(NAMES, lambda name: self_signed(name, 0))
        self.taker = Taker(self.storage, self.table, self.crew.member(1))

    def shown(self, name: str) -> Certified | None:
        return self.table.certificate(name)

    def issue(self, name: str) -> Certified:
        """The leader has got a certificate."""
        certified = self_signed(name, 0)
        self.leader.tell(ISSUED, (name, certified.to_pem()))
        return certified


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def same(shown: Certified | None, expected: Certified) -> bool:
    return shown is not None and (shown.chain, shown.to_pem()) == (expected.chain, expected.to_pem())


def test_what_is_kept_is_shown_from_the_start(worker: Worker) -> None:
    kept = self_signed("a.cr.test", 0)
    worker.storage.keep("a.cr.test", kept)
    worker.storage.keep("elsewhere.test", self_signed("elsewhere.test", 0))
    assert worker.shown("a.cr.test") is None
    worker.taker.startService()
    assert same(worker.shown("a.cr.test"), kept)
    assert [name for name in (*NAMES, "elsewhere.test") if worker.shown(name)] == ["a.cr.test"]


def test_what_is_told_is_shown_from_then_on(worker: Worker) -> None:
    worker.taker.startService()
    for name in ("a.cr.test", "b.cr.test", "a.cr.test"):
        told = worker.issue(name)
        assert same(worker.shown(name), told)
    assert worker.shown("c.cr.test") is None


def test_what_is_told_before_it_runs_is_not_lost(worker: Worker) -> None:
    told = worker.issue("a.cr.test")
    worker.storage.keep("a.cr.test", self_signed("a.cr.test", 0))
    worker.taker.startService()
    assert same(worker.shown("a.cr.test"), told)


def test_the_certificate_of_a_new_name_is_looked_for(worker: Worker) -> None:
    worker.taker.startService()
    shown, kept = worker.issue("a.cr.test"), self_signed("b.cr.test", 0)
    worker.storage.keep("a.cr.test", self_signed("a.cr.test", 0))
    worker.storage.keep("b.cr.test", kept)
    worker.taker.take_up(["a.cr.test", "b.cr.test"])
    assert same(worker.shown("b.cr.test"), kept)
    # What is shown already was told of later than it was kept.
    assert same(worker.shown("a.cr.test"), shown)


def test_what_cannot_be_read_is_told_of_and_the_others_are_shown(worker: Worker, tmp_path: Path, log: Log) -> None:
    for name in NAMES[:3]:
        worker.storage.keep(name, self_signed(name, 0))
    (path,) = tmp_path.rglob("cr.test.pem")
    path.write_text("junk")
    (path,) = tmp_path.rglob("a.cr.test.pem")
    path.unlink()
    path.mkdir()
    worker.taker.startService()
    assert [name for name in NAMES if worker.shown(name)] == ["b.cr.test"]
    assert [line.partition(" cannot be used: ")[0] for line in log.complaints] == [
        "the kept certificate of cr.test",
        "the kept certificate of a.cr.test",
    ]


# With the one that asks the CA


class Beside:
    """A worker beside the one that gets certificates, which the CA reaches."""

    def __init__(self, certifying: Certifying) -> None:
        crew = Crew()
        certifying.sharing, sharing = crew.member(0), crew.member(1)
        self.certificates = Certificates(
            certifying.config, lambda: pytest.fail("the CA is asked"), certifying.network.clock, sharing=sharing
        )
        self.certificates.startService()
        certifying.reached = self.certificates

    def shown(self, name: str) -> Certified | None:
        return self.certificates.choose(Hello(name, (b"http/1.1",)))


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_the_ca_may_reach_any_worker_and_all_show_what_one_has_got(certifying: Certifying, challenge: str) -> None:
    beside = Beside(certifying)
    certifying.start(challenge=challenge)
    certifying.advance(30)
    assert certifying.issued() == list(NAMES)
    for name in NAMES:
        expected = certifying.shown(name)
        assert expected is not None
        assert same(beside.shown(name), expected)
    assert beside.certificates.ends() == certifying.certificates.ends()
    assert not any(beside.certificates.find_answer(f"token-{number}") for number in range(4))


def test_a_worker_that_begins_later_shows_the_same(certifying: Certifying) -> None:
    certifying.start()
    certifying.advance(30)
    beside = Beside(certifying)
    assert [name for name, end in beside.certificates.ends() if end is not None] == list(NAMES)


def test_a_worker_that_asks_no_ca_says_of_no_name_when_it_will(certifying: Certifying) -> None:
    certifying.start()
    states = Beside(certifying).certificates.states()
    assert [(state.name, state.next_attempt) for state in states] == [(name, None) for name in NAMES]


def test_an_alias_that_comes_later_has_a_certificate_everywhere(certifying: Certifying) -> None:
    beside = Beside(certifying)
    certifying.start()
    certifying.advance(30)
    for certificates in (certifying.certificates, beside.certificates):
        certificates.rename((*NAMES, "new.cr.test"))
    assert certifying.shown("new.cr.test") is not None
    certifying.advance(30)
    expected = certifying.shown("new.cr.test")
    assert expected is not None
    assert same(beside.shown("new.cr.test"), expected)
    assert len(expected.chain) == 2
