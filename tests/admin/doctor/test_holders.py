from __future__ import annotations

import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from crproxy.admin.doctor.holders import Holder, Listening, find_holder, listening
from crproxy.policy.endpoints import parse_endpoint

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, port: int, state: str = "0A", inode: int = 7) -> str:
    """A line of the kernel's table: addresses are words of its memory."""
    packed = ip_address(address).packed
    words = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
    local = "".join(f"{word:08X}" for word in words)
    return f"   0: {local}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0 0 {inode} 1 0\n"


def machine(directory: Path, tcp: str, tcp6: str = "") -> Path:
    """What /proc of a machine looks like on which nginx has the socket 7."""
    (directory / "self" / "net").mkdir(parents=True)
    (directory / "self" / "net" / "tcp").write_text(HEAD + tcp)
    (directory / "self" / "net" / "tcp6").write_text(HEAD + tcp6)
    for pid, target in ((12, "socket:[3]"), (345, "socket:[7]"), (346, "socket:[7]")):
        (directory / str(pid) / "fd").mkdir(parents=True)
        (directory / str(pid) / "fd" / "4").symlink_to(target)
        (directory / str(pid) / "comm").write_text("nginx\n")
        (directory / str(pid) / "cmdline").write_bytes(b"nginx: master process\0/usr/sbin/nginx\0")
    return directory


def test_only_what_listens_is_read() -> None:
    table = HEAD + row("127.0.0.1", 80) + row("127.0.0.1", 81, "01") + row("::", 443, inode=9)
    assert list(listening(table)) == [
        Listening(ip_address("127.0.0.1"), 80, 7),
        Listening(ip_address("::"), 443, 9),
    ]
    assert list(listening("")) == []


def test_the_first_of_several_processes_is_named(tmp_path: Path) -> None:
    holder = find_holder(parse_endpoint("tcp:80"), machine(tmp_path, row("0.0.0.0", 80)))
    assert holder == Holder(345, "nginx", ("nginx: master process", "/usr/sbin/nginx"))
    assert str(holder) == "nginx (process 345)"


@pytest.mark.parametrize(
    ("description", "listens", "found"),
    [
        ("tcp:80:interface=127.0.0.1", "0.0.0.0", True),
        ("tcp:80:interface=127.0.0.1", "::", True),
        ("tcp:80:interface=127.0.0.1", "::ffff:127.0.0.1", True),
        ("tcp:80:interface=127.0.0.1", "192.0.2.1", False),
        ("tcp:80", "192.0.2.1", True),
        ("tcp:80:interface=0.0.0.0", "192.0.2.1", True),
        ("tcp6:80:interface=\\:\\:1", "0.0.0.0", False),
        ("tcp6:80:interface=\\:\\:1", "::1", True),
        ("tcp:81", "0.0.0.0", False),
        ("tcp:0", "0.0.0.0", False),
        ("unix:/run/x", "0.0.0.0", False),
    ],
)
def test_addresses_that_overlap(tmp_path: Path, description: str, listens: str, found: bool) -> None:
    tables = ("", row(listens, 80)) if ":" in listens else (row(listens, 80), "")
    assert (find_holder(parse_endpoint(description), machine(tmp_path, *tables)) is not None) == found


def test_a_process_that_is_not_for_us_to_see_is_nobody(tmp_path: Path) -> None:
    assert find_holder(parse_endpoint("tcp:80"), machine(tmp_path, row("0.0.0.0", 80, inode=8))) is None
    assert find_holder(parse_endpoint("tcp:80"), tmp_path / "nothing") is None


def test_a_crproxy_is_known_by_what_it_was_started_with() -> None:
    assert Holder(1, "twistd", ("python3", "twistd", "-n", "crproxy")).is_crproxy
    assert not Holder(1, "nginx", ("nginx",)).is_crproxy


def test_this_very_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = find_holder(parse_endpoint(f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"))
    assert holder is not None
    assert holder.command[0] == Path("/proc/self/cmdline").read_text().split("\0")[0]
