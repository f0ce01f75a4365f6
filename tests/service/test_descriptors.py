from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from crproxy.service.descriptors import raise_limit

TOLD = "import resource; from crproxy.service.descriptors import raise_limit; "
TOLD += "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"


def test_the_soft_limit_becomes_the_hard_one() -> None:
    command = ["sh", "-c", 'ulimit -Sn 100; ulimit -Hn 300; exec "$@"', "sh", sys.executable, "-c", TOLD]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["300", "300", "300"]


def test_what_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 100


def test_no_limit_is_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert raise_limit() == 1 << 20
