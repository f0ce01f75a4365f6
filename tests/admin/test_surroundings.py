from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from crproxy.admin.surroundings import doubts, lacks
from crproxy.config import Config, OptionError, Options, load
from crproxy.tls.certificates import self_signed

FLEET = '[fleet]\nvalkey = "redis://valkey"\nadvertise = "https://10.0.0.5:5443"\nsecret_file = "/s"\n'


def config(text: str) -> Config:
    return load(text, Options(), read_file=lambda _: "s" * 32)


def told(text: str, *, by_systemd: bool = True) -> list[str]:
    return [str(error) for error in lacks(config(text), object(), by_systemd=by_systemd)]


def test_nothing_is_lacking_usually(tmp_path: Path) -> None:
    assert told("") == []
    assert told(f'domain = "cr.test"\ncerts = "{tmp_path}"\n{FLEET}') == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[listen]\nhttp = ["nonsense"]', "'nonsense' is not an endpoint"),
        ('[listen]\nadmin = "tcp:port"', "'tcp:port' is not an endpoint"),
        ('[listen]\nhttp = ["tcp:99999"]', "'tcp:99999' is not an endpoint (ports are 0 to 65535)"),
        ('[listen]\nhttp = ["tcp:-1"]', "'tcp:-1' is not an endpoint (ports are 0 to 65535)"),
        ('[listen]\nhttp = ["ssl:443:privateKey=/no/key.pem"]', "/no/key.pem cannot be read: No such file"),
        ('[metrics]\nlisten = "tcp:9090:x=y:z"', "'tcp:9090:x=y:z' is not an endpoint"),
        ('[listen]\nhttp = ["systemd:domain=INET:index=0"]', "start crproxy.socket before the service"),
        ('domain = "cr.test"\ncerts = "/no/where"', "certs: /no/where cannot be read: No such file or directory"),
    ],
)
def test_what_is_lacking_is_told(text: str, what: str) -> None:
    (said,) = told(text)
    assert what in said


@pytest.mark.parametrize("called", ["--certs", "CRPROXY_CERTS"])
def test_what_an_option_or_a_variable_says_is_called_so(called: str) -> None:
    sources = {} if called.startswith("--") else {"certs": called}
    options = Options(certs="/no/where", sources=sources)
    (error,) = lacks(config('domain = "cr.test"\ncerts = "/no/where"'), object(), options=options)
    assert isinstance(error, OptionError)
    assert str(error).startswith(f"{called}: /no/where cannot be read: No such file or directory")


def test_a_key_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    (said,) = told(f'[listen]\nhttp = ["ssl:443:privateKey={tmp_path}/key.pem"]')
    assert "is not an endpoint" in said


def test_all_of_it_is_told() -> None:
    assert len(told('certs = "/no/where"\n[listen]\nhttp = ["nonsense", "tcp:port"]')) == 3


def test_sockets_of_systemd_are_nobody_elses() -> None:
    assert told('[listen]\nhttp = ["systemd:domain=INET:index=0"]', by_systemd=False) == []


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {"obstore": None, "txredisapi": None}.__getitem__)
    said = told(f'{FLEET}[storage]\nurl = "s3://bucket"')
    assert said == [
        f"{table} needs what is not installed: pip install 'crproxy[fleet]'" for table in ("[storage]", "[fleet]")
    ]


DAY = 86400.0


def doubted(text: str, now: float = DAY) -> list[str]:
    return list(doubts(config(text), now))


def test_certificates_that_are_of_use_are_not_doubted(tmp_path: Path) -> None:
    (tmp_path / "any.pem").write_bytes(self_signed("cr.test", 0).to_pem())
    assert doubted(f'domain = "cr.test"\ncerts = "{tmp_path}"\n[acme]\ndirectory = "none"') == []
    assert doubted('domain = "cr.test"') == []
    assert doubted("") == []


def test_one_that_has_ended_is(tmp_path: Path) -> None:
    file = tmp_path / "cr.test.pem"
    file.write_bytes(self_signed("cr.test", 0).to_pem())
    text = f'domain = "cr.test"\ncerts = "{tmp_path}"\n[acme]\ndirectory = "none"'
    assert doubted(text, 400 * DAY) == [f"{file} has a certificate that ended on 1970-04-01: replace it"]


def test_one_that_is_none_is_and_nothing_else_is_there(tmp_path: Path) -> None:
    (tmp_path / "cr.test.pem").write_text("no certificate")
    (tmp_path / "directory.pem").mkdir()
    bad, unreadable, missing = doubted(f'domain = "cr.test"\ncerts = "{tmp_path}"\n[acme]\ndirectory = "none"')
    assert bad.startswith(f"{tmp_path}/cr.test.pem cannot be used: ")
    assert unreadable.startswith(f"{tmp_path}/directory.pem cannot be read: Is a directory")
    assert missing.startswith("no certificate is here for cr.test, and nothing issues one")
