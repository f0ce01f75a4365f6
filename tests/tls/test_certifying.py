from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.tls.certificates import self_signed
from tests.logs import Log
from tests.tls.conftest import Certifying

NEVER = "and nothing issues one: put NAME.pem, with key and chain, into"


def told(log: Log) -> list[str]:
    return [line for line in log.lines if NEVER in line]


def test_names_that_never_get_a_certificate_are_told_at_the_start_in_one_line(certifying: Certifying, log: Log) -> None:
    certifying.start(directory=None)
    (line,) = told(log)
    assert line.startswith("no certificate is here for cr.test, a.cr.test, b.cr.test and 1 more, ")
    assert "a directory that --certs names, or have a CA asked by --acme-directory" in line


def test_those_that_have_a_file_are_not(certifying: Certifying, log: Log, tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    now = certifying.network.clock.seconds()
    (directory / "cr.test.pem").write_bytes(self_signed("cr.test", now).to_pem())
    names = Names("cr.test", {"a.cr.test": Registry("quay.io")})
    certifying.config = replace(certifying.config, names=names, certs=str(directory))
    certifying.start(directory=None)
    (line,) = told(log)
    assert line.startswith("no certificate is here for a.cr.test, ")
    assert str(directory) in line


def test_where_a_ca_is_asked_nothing_is_missing(certifying: Certifying, log: Log) -> None:
    certifying.start()
    assert told(log) == []
