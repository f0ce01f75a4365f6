from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.findings import Area, Finding
from crproxy.admin.doctor.holders import Holder
from crproxy.admin.doctor.http_probe import ProbeResult
from crproxy.admin.doctor.permissions import check_permissions
from tests.admin.doctor.conftest import environment, told
from tests.configs import loaded

NGINX = Holder(4711, "nginx")
RUNS = Daemon({}, ProbeResult(status=200))


@pytest.fixture
def taken() -> Iterator[str]:
    """Where another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"


def check(directory: Path, text: str, daemon: Daemon | None = None) -> list[Finding]:
    config = loaded(f'data_dir = "{directory}"\n{text}')
    return check_permissions(config, daemon or Daemon(), environment({}, holder=NGINX))


def of(subject: str, findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


@pytest.mark.parametrize("where", ["[listen]\nhttp = ['{}']", "[metrics]\nlisten = '{}'"])
def test_who_has_a_port_is_told(tmp_path: Path, taken: str, where: str) -> None:
    found = of(taken, check(tmp_path, where.format(taken)))
    assert (found.area, found.outcome.value) == (Area.PORTS, "failed")
    assert found.text == "nginx (process 4711) has this port, not crproxy"


def test_what_the_daemon_itself_may_have_is_not_looked_at_while_it_runs(tmp_path: Path, taken: str) -> None:
    assert taken not in told(check(tmp_path, f"[metrics]\nlisten = '{taken}'", RUNS))


def test_an_address_of_another_machine_is_told_as_that(tmp_path: Path) -> None:
    description = "tcp:5000:interface=192.0.2.7"
    found = of(description, check(tmp_path, f"[listen]\nhttp = ['{description}']"))
    assert found.outcome.value == "failed"
    assert "its address has to be one of this machine's" in found.advice


def test_a_directory_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    assert told(check(directory, ""))[str(directory)] == "ok"
    assert not directory.exists()
