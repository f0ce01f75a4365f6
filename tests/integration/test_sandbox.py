"""What crproxy.service takes away from the daemon, as far as it can be shown where no service manager runs: the daemon
needs none of it.

The system calls that it makes are compared with those that the unit lets through, and it runs with the unit's
capabilities and no others. What systemd does with mounts and users is not shown here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority
from tests.parts.machine import Machine
from tests.parts.places import REGISTRY, blob
from tests.parts.process import Process, clean_environment
from tests.parts.raw_http import ask
from tests.parts.requirements import need
from tests.parts.secure_http import SecureConnection
from tests.parts.shapes import content

if TYPE_CHECKING:
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

UNIT = (Path(__file__).parent.parent.parent / "systemd" / "crproxy.service").read_text()
TWISTD = str(Path(sys.executable).parent / "twistd")
DOMAIN = "cr.test"
NET_BIND_SERVICE = 1 << 10
# SQLite gives its journal the owner of its database, but only as root, which the service is not.
AS_ROOT = {"fchown"}
# Since Python 3.13 pdb, which twistd imports, has the terminal's library look whose its files are. Refused it goes on.
REFUSED = {"setfsuid"}


def system_calls(name: str) -> set[str]:
    """The system calls of one of systemd's sets, with those of the sets in it."""
    listed = subprocess.run(
        [need("systemd-analyze"), "syscall-filter", name], capture_output=True, check=True, text=True
    )
    words = [line.strip() for line in listed.stdout.splitlines()[1:]]
    found = {word for word in words if word and not word.startswith(("#", "@"))}
    return found.union(*(system_calls(word) for word in words if word.startswith("@")))


def let_through() -> set[str]:
    """The system calls that the unit lets through: its lines add, and with ~ take away (systemd.exec(5))."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT, re.MULTILINE):
        named = {call for name in line.removeprefix("~").split() for call in system_calls(name)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def configuration(directory: Path, upstream: str, listen: str) -> Path:
    authority = Authority(directory)
    certificate = authority.issue(DOMAIN)
    (directory / "certs").mkdir()
    (directory / "certs" / "one.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    file = directory / "crproxy.toml"
    file.write_text(
        f'domain = "{DOMAIN}"\ncerts = "{directory}/certs"\ndata_dir = "{directory}/data"\n'
        f'[listen]\n{listen}\nplain_http = "serve"\n[acme]\ndirectory = "none"\n'
        f'[upstreams."{REGISTRY}"]\nendpoint = "{upstream}"\n'
    )
    return file


@pytest.mark.parametrize("workers", [1, 2])
def test_it_makes_no_system_call_that_the_unit_does_not_let_through(
    fake: FakeUpstream, tmp_path: Path, workers: int
) -> None:
    """From its first instruction to its last, with a pull, a name that must be looked up, TLS and a reload."""
    place = blob(b"x" * 1_000_000)
    fake.script(place.path, content(b"x" * 1_000_000))
    listen = 'http = ["tcp:0:interface=127.0.0.1"]\nhttps = ["tcp:0:interface=127.0.0.1"]'
    file = configuration(tmp_path, fake.url, listen)
    trace = tmp_path / "trace"
    command = [
        need("strace"),
        "-f",
        "-qq",
        f"--output={trace}",
        TWISTD,
        "-n",
        "--pidfile=",
        "crproxy",
        f"--config={file}",
        f"--workers={workers}",
    ]
    with Process(command, tmp_path, patience=60) as daemon:
        https = int(daemon.wait_for(r"listens on https://127\.0\.0\.1:(\d+)", 60)[1])
        http = int(daemon.wait_for(r"listens on http://127\.0\.0\.1:(\d+)", 60)[1])
        host = ("Host", DOMAIN)
        assert ask(("127.0.0.1", http), "GET", place.through, host).status == 200
        assert ask(("127.0.0.1", http), "GET", "/v2/no.invalid/a/tags/list", host).status == 503
        with SecureConnection(https, DOMAIN, tmp_path / "authority.pem") as client:
            assert client.get(place.through).status == 200
        child = re.match(r"\d+", trace.read_text())
        assert child is not None
        subprocess.run(["kill", "-HUP", child[0]], check=True)
        daemon.wait_for("the configuration was read again", 60)
        subprocess.run(["kill", "-TERM", child[0]], check=True)
        daemon.wait(60)
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"accept4", "execve", "fsync"} <= made
    assert made - let_through() - AS_ROOT - REFUSED == set()


def test_the_families_of_addresses_are_enough(fake: FakeUpstream, tmp_path: Path) -> None:
    """What the one above asks the kernel for by socket(2)."""
    allowed = re.findall(r"^RestrictAddressFamilies=(.*)$", UNIT, re.MULTILINE)
    file = configuration(tmp_path, fake.url, 'http = ["tcp:0:interface=127.0.0.1"]\nhttps = []')
    trace = tmp_path / "trace"
    only = ["-e", "trace=socket,socketpair"]
    command = [need("strace"), "-f", "-qq", *only, f"--output={trace}", TWISTD, "-n", "--pidfile=", "crproxy"]
    with Process([*command, f"--config={file}"], tmp_path, patience=60) as daemon:
        http = int(daemon.wait_for(r"listens on http://127\.0\.0\.1:(\d+)", 60)[1])
        ask(("127.0.0.1", http), "GET", "/v2/no.invalid/a/tags/list", ("Host", DOMAIN))
        child = re.match(r"\d+", trace.read_text())
        assert child is not None
        subprocess.run(["kill", "-TERM", child[0]], check=True)
        daemon.wait(60)
    asked = set(re.findall(r"socket(?:pair)?\((AF_\w+|PF_\w+)", trace.read_text()))
    assert "AF_INET" in asked
    assert asked <= set(allowed[0].split())


@pytest.mark.parametrize("bind", [True, False])
def test_it_needs_no_capability_but_that_to_bind_ports(tmp_path: Path, bind: bool) -> None:
    """Ports 80 and 443, by the capability that the unit gives; and not without it."""
    file = configuration(tmp_path, "http://127.0.0.1:1", 'http = ["tcp:80"]\nhttps = ["tcp:443"]')
    given = "+net_bind_service" if bind else ""
    sets = ",".join(filter(None, ["-all", given]))
    rights = f"--bounding-set={sets} --inh-caps={sets} --ambient-caps={sets} --no-new-privs"
    with Machine(tmp_path) as machine:
        machine.environment |= clean_environment(tmp_path)
        line = f"{need('setpriv')} {rights} {TWISTD} -n --pidfile= crproxy --config {file}"
        with machine.start(line, tmp_path) as daemon:
            if not bind:
                daemon.wait_for("cannot listen on tcp:443: .*Permission denied")
                return
            daemon.wait_for(r"listens on http://0\.0\.0\.0:80 \(every")
            status = Path(f"/proc/{daemon.pid}/status").read_text()
            found = {int(mask, 16) for mask in re.findall(r"^Cap(?:Prm|Eff|Bnd):\s+([0-9a-f]+)$", status, re.MULTILINE)}
            assert found == {NET_BIND_SERVICE}
            ask_there = f"curl --fail --silent --cacert {tmp_path}/authority.pem --resolve {DOMAIN}:443:127.0.0.1"
            assert machine.type(f"{ask_there} https://{DOMAIN}/v2/", tmp_path) == "{}"
