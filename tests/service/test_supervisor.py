from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.service.supervisor import Supervisor


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def test_what_is_told_is_one_datagram(listening: socket.socket) -> None:
    Supervisor(listening.getsockname()).tell("READY=1", "STATUS=well")
    assert listening.recv(1000) == b"READY=1\nSTATUS=well"


def test_an_abstract_address_is_written_with_an_at() -> None:
    name = f"crproxy-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(5)
        Supervisor(f"@{name}").tell("READY=1")
        assert receiver.recv(1000) == b"READY=1"


def test_nobody_is_told_nothing() -> None:
    Supervisor().tell("READY=1")


def test_one_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    Supervisor(str(tmp_path / "gone")).tell("READY=1")


def test_one_that_does_not_read_blocks_nothing(listening: socket.socket) -> None:
    supervisor = Supervisor(listening.getsockname())
    for _ in range(10_000):
        supervisor.tell("WATCHDOG=1")


PATH = "/run/systemd/notify"
ADDRESS = {"NOTIFY_SOCKET": PATH}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, Supervisor()),
        (ADDRESS, Supervisor(PATH)),
        ({"NOTIFY_SOCKET": "@x"}, Supervisor("@x")),
        # Of another kind, such as vsock:, which sd_notify(3) knows as well.
        ({"NOTIFY_SOCKET": "vsock:2:1"}, Supervisor()),
        ({**ADDRESS, "WATCHDOG_USEC": "30000000"}, Supervisor(PATH, 30)),
        ({**ADDRESS, "WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, Supervisor(PATH, 0.5)),
        # Meant for the process that started us.
        ({**ADDRESS, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, Supervisor(PATH)),
        ({**ADDRESS, "WATCHDOG_USEC": "0"}, Supervisor(PATH)),
        ({**ADDRESS, "WATCHDOG_USEC": "-5"}, Supervisor(PATH)),
        ({"WATCHDOG_USEC": "30000000"}, Supervisor()),
    ],
)
def test_what_the_environment_tells(environment: dict[str, str], found: Supervisor) -> None:
    assert Supervisor.from_environment(environment) == found
