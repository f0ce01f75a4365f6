"""A daemon's certificates, with a CA in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crproxy.config import Acme, Config
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.sharing import Alone, Sharing
from crproxy.tls.accepting import ACME_TLS
from crproxy.tls.certificates import Certified
from crproxy.tls.certifying import Certificates
from crproxy.tls.client_hello import Hello
from crproxy.upstream.agent import treq_client
from tests.acme.fake_ca import ORIGIN
from tests.logs import Log
from tests.memory import Network
from tests.tls.issuing_ca import IssuingCa

NAMES = ("cr.test", "a.cr.test", "b.cr.test", "c.cr.test")


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


class Certifying:
    """Certificates that can be started anew with other words, on the same disk."""

    def __init__(self, data_dir: Path) -> None:
        self.network = Network()
        self.network.clock.advance(1_700_000_000)
        self.ca = IssuingCa(self.network, self._sees)
        aliases = {name: Registry("quay.io") for name in NAMES[1:]}
        acme = Acme(directory=f"{ORIGIN}/dir", email="ops@example.com")
        self.config = Config(Names(NAMES[0], aliases), data_dir=str(data_dir), acme=acme)
        self.certificates: Certificates
        self.sharing: Sharing = Alone()
        # The worker that the CA reaches; None is this one.
        self.reached: Certificates | None = None

    def start(self, **acme: Any) -> Certificates:
        config = replace(self.config, acme=replace(self.config.acme, **acme))
        http = treq_client(self.network.agent())
        self.certificates = Certificates(config, lambda: http, self.network.clock, sharing=self.sharing)
        self.certificates.startService()
        self.advance(0)
        return self.certificates

    def restart(self, **acme: Any) -> Certificates:
        self.stop()
        return self.start(**acme)

    def stop(self) -> None:
        self.certificates.stopService()

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps that leave nothing waiting that is due."""
        end = self.network.clock.seconds() + seconds
        self.network.advance(0)
        while calls := [call for call in self.network.clock.getDelayedCalls() if call.getTime() <= end]:
            upcoming = min(call.getTime() for call in calls)
            self.network.advance(max(0.0, upcoming - self.network.clock.seconds()))
        self.network.advance(end - self.network.clock.seconds())

    def shown(self, name: str | None) -> Certified | None:
        return self.certificates.choose(Hello(name, (b"http/1.1",)))

    def issued(self) -> list[str]:
        """The names that show a certificate of the CA's."""
        return [name for name in self.certificates.table.names if self.certificates.table.certificate(name)]

    def _sees(self, kind: str, name: str, token: str) -> bool:
        reached = self.reached or self.certificates
        if kind == "http-01":
            return (reached.find_answer(token) or "").startswith(f"{token}.")
        shown = reached.choose(Hello(name, (ACME_TLS,)))
        return shown is not None and any(extension.critical for extension in shown.leaf.extensions)


@pytest.fixture
def certifying(tmp_path: Path) -> Iterator[Certifying]:
    certifying = Certifying(tmp_path)
    yield certifying
    if certifying.certificates.running:
        certifying.stop()
