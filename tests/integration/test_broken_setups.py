"""Ten broken set-ups, each made for real: what the daemon says as it starts, and what the doctor says, is on the page.

A machine, the registries and what is between them are in a network of their own. The whole set-up is well, which is
tested first; each of the others is broken in one place, and the doctor names one cause: however many names that hits.

``make broken-setups`` writes what is said into docs/troubleshooting.md; otherwise it is compared with that. Two workers
say the same, word for word, each of itself.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import os
import re
import ssl
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import create_connection, create_server
from typing import TYPE_CHECKING

import pytest

from crproxy.config import Upstream
from crproxy.policy.aliases import BUILT_IN
from tests.broken_setups import PAGE, Advised, Words, row_of, rows_of, with_rows
from tests.parts.answers import Answer, Request
from tests.parts.certificates import Authority, signed_by_itself
from tests.parts.date import Date
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST
from tests.parts.mounts import fill_up, make_read_only, small_disk
from tests.parts.namespaces import Namespace
from tests.parts.node import Node
from tests.parts.process import Process, clean_environment
from tests.parts.registry import write_htpasswd
from tests.parts.requirements import need, need_root
from tests.parts.shapes import manifest
from tests.parts.starting import started
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.integration

DOMAIN = "cr.test"
ALIASES = [f"{label}.{DOMAIN}" for label in BUILT_IN]
# The machine's own, for documentation (RFC 5737), and nobody's, to which nothing leads.
MACHINE, ELSEWHERE = "203.0.113.5", "192.0.2.7"
# Public ones: the registries', one at which nobody listens, and one from which nothing comes back.
REGISTRIES, SILENT, DROPPED = "93.184.215.14", "93.184.215.15", "93.184.216.3"
NETWORK = f"""
"$0" link set lo up
"$0" address add {MACHINE}/32 dev lo && "$0" address add {REGISTRIES}/32 dev lo && "$0" address add {SILENT}/32 dev lo
"$0" link add away type veth peer name gone && "$0" link set gone up && "$0" link set away arp off up
"$0" route add {DROPPED}/32 dev away src {MACHINE}
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
"""
HOSTS = sorted(str(Upstream.public(registry).endpoint).removeprefix("https://") for registry in BUILT_IN.values())
# The images that the doctor asks for.
KNOWN = (
    ("library/hello-world", "latest"),
    ("distroless/static", "latest"),
    ("containerd/busybox", "1.36"),
    ("hello-world", "latest"),
    ("docker/library/hello-world", "latest"),
    ("prometheus/busybox", "latest"),
    ("pause", "3.9"),
)
DAY = 86400
WRITES = "BROKEN_SETUPS" in os.environ


@dataclass(frozen=True, slots=True)
class SetUp:
    """How the daemon and the doctor are run.

    Arguments:
        directory: of this set-up alone.
        config: the configuration file's text, in which ``{data_dir}`` and others stand for paths.
        data_dir, certs, htpasswd: what it names.
        names: what leads where.
        before: what both are run by.
        environment: more variables for both.
    """

    directory: Path
    authority: Path
    namespace: Namespace
    data_dir: Path
    certs: Path
    htpasswd: Path
    names: dict[str, str]
    config: str
    before: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.directory / "crproxy.toml"

    @property
    def places(self) -> dict[str, str]:
        """The paths, and where they would be on a machine of somebody's."""
        return {
            str(self.file): "/etc/crproxy/crproxy.toml",
            str(self.data_dir): "/var/lib/crproxy",
            str(self.certs): "/etc/crproxy/certs",
            str(self.htpasswd): "/etc/crproxy/htpasswd",
            f"{Path(sys.executable).parent}/": "",
        }

    def words(self) -> Words:
        """Start the daemon, ask the doctor, and return what both say."""
        self.file.write_text(self.config)
        node = _Inside.of(self)
        with started(
            self.directory, "--config", str(self.file), node=node, before=self.before, environment=self.environment
        ) as begun:
            return Words(begun.status, begun.said, self._ask_doctor(node))

    def _ask_doctor(self, node: Node) -> list[Advised]:
        command = [*self.before, str(Path(sys.executable).parent / "crproxy"), "doctor", "--config", str(self.file)]
        done = subprocess.run(
            node.command(command),
            cwd=self.directory,
            env=clean_environment(self.directory, **node.environment, **self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.stderr == "", done.stderr
        lines, summary = done.stdout.split("\n\n")
        failed = [Advised(*found) for found in re.findall(r"^failed +(.*)\n +-> (.*)$", lines, re.MULTILINE)]
        assert done.returncode == bool(failed), done.stdout
        assert all(one.text in summary for one in failed[:1])
        return failed


@dataclass(frozen=True, slots=True)
class _Inside(Node):
    """The machine, in its network."""

    entering: tuple[str, ...] = ()

    @classmethod
    def of(cls, setup: SetUp) -> _Inside:
        node = Node.make(setup.directory, [], setup.authority)
        lines = [f"{address} {name}" for name, address in setup.names.items()]
        (setup.directory / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        return cls(node.etc, node.authority, tuple(setup.namespace.command))

    def command(self, command: Sequence[str]) -> list[str]:
        return [*self.entering, *Node(self.etc, self.authority).command(command)]


def now_there(_: Request) -> Answer:
    return Answer(body=b"{}", headers=(("Date", email.utils.formatdate(usegmt=True)),))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, workers: int) -> Iterator[SetUp]:
    """The set-up that is well, which each test takes a copy of."""
    need_root("a network and disks of a test's own")
    directory = tmp_path_factory.mktemp("etc")
    authority = Authority(directory)
    shown = authority.issue(*HOSTS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.chain, shown.key)
    with ExitStack() as running:
        namespace = running.enter_context(Namespace(" && ".join(NETWORK.strip().splitlines())))
        with namespace.entered():
            listener = create_server((REGISTRIES, 443), backlog=256)
        registries = running.enter_context(FakeUpstream(context, listener))
        registries.script("/v2/", now_there)
        for repository, tag in KNOWN:
            registries.script(f"/v2/{repository}/manifests/{tag}", manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
        certs, htpasswd = directory / "certs", directory / "htpasswd"
        certs.mkdir()
        certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
        (certs / "cr.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
        write_htpasswd(htpasswd)
        names = dict.fromkeys((DOMAIN, *ALIASES), MACHINE) | dict.fromkeys(HOSTS, REGISTRIES)
        # Not in the file, whose lines are counted in what is said of it.
        number = {"CRPROXY_WORKERS": str(workers)}
        yield SetUp(
            directory, authority.file, namespace, directory / "data", certs, htpasswd, names, "", environment=number
        )


def text_of(setup: SetUp, data_dir: Path) -> str:
    return f"""\
domain = "{DOMAIN}"
data_dir = {json.dumps(str(data_dir))}
certs = {json.dumps(str(setup.certs))}
[listen]
http = ["tcp:80:interface={MACHINE}"]
https = ["tcp:443:interface={MACHINE}"]
[acme]
directory = "none"
[cache]
size = "10M"
[clients]
htpasswd = {json.dumps(str(setup.htpasswd))}
"""


def at(machine: SetUp, directory: Path, **changes: object) -> SetUp:
    """Return the set-up that is well, in a directory of its own, but for these changes."""
    data_dir = changes.pop("data_dir", directory / "data")
    assert isinstance(data_dir, Path)
    moved = replace(machine, directory=directory, data_dir=data_dir, config="", **changes)  # type: ignore[arg-type]
    return replace(moved, config=text_of(moved, data_dir))


# Each breaks one thing

BROKEN: dict[str, tuple[str, Callable[[SetUp, Path], AbstractContextManager[SetUp]]]] = {}


def broken(name: str, says: str) -> Callable[[Callable[[SetUp, Path], Iterator[SetUp]]], None]:
    """Have a function make the set-up of this name, of which the doctor says this, among other things."""

    def add(function: Callable[[SetUp, Path], Iterator[SetUp]]) -> None:
        BROKEN[name] = (says, contextmanager(function))

    return add


@broken("another program has the port", r"ports: tcp:443:\S+ nginx \(process \d+\) has this port, not crproxy")
def taken_port(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; server {{ listen {MACHINE}:443; }} }}\n"
    )
    command = [*machine.namespace.command, need("nginx"), "-p", str(directory), "-c", str(file), "-e", "stderr"]
    with Process(command, directory), machine.namespace.entered():
        until(lambda: is_listened_at(443), 20)
        yield at(machine, directory)


def is_listened_at(port: int) -> bool:
    try:
        create_connection((MACHINE, port), timeout=1).close()
    except OSError:
        return False
    return True


@broken("a typo in the file", r"configuration: \S+ line 10: cache\.siez: there is no such key; did you mean size\?")
def typo(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    setup = at(machine, directory)
    yield replace(setup, config=setup.config.replace("size", "siez"))


@broken("a value of the wrong type", r"configuration: \S+ line 10: cache\.size: 10 is not a text")
def wrong_type(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    setup = at(machine, directory)
    yield replace(setup, config=setup.config.replace('"10M"', "10"))


@broken("a password file that may not be read", r"permissions: \S+/htpasswd: cannot be read by .*: Permission denied")
def unreadable(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    file = directory / "htpasswd"
    write_htpasswd(file)
    file.chmod(0o600)
    os.chown(file, 65534, 65534)
    # Root's number without root's powers (capabilities(7)): another user may not reach this environment.
    powerless = [need("setpriv"), "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot"]
    yield at(machine, directory, htpasswd=file, before=powerless)


@broken(
    "a certificate that has ended",
    r"certificates: cr\.test, \S+, \S+ and 12 more: their certificate, signed by itself, ended on ",
)
def expired(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    certs = directory / "certs"
    certs.mkdir()
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    (certs / "cr.pem").write_bytes(signed_by_itself(DOMAIN, f"*.{DOMAIN}", not_after=yesterday))
    yield at(machine, directory, certs=certs)


@broken("DNS that leads elsewhere", rf"dns: \S+, \S+, \S+ and 11 more: lead to {ELSEWHERE}, the domain to {MACHINE}")
def elsewhere(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    yield at(machine, directory, names=machine.names | dict.fromkeys(ALIASES, ELSEWHERE))


@broken("a full disk", r"disk: \S+ the disk is full \(")
def full(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    with small_disk(directory / "disk", "4M") as disk:
        disk.chmod(0o700)
        fill_up(disk)
        yield at(machine, directory, data_dir=disk)


@broken("a read-only disk", r"disk: \S+ the disk is read-only \(")
def read_only(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    with small_disk(directory / "disk", "16M") as disk:
        disk.chmod(0o700)
        make_read_only(disk)
        yield at(machine, directory, data_dir=disk)


@broken("registries that refuse connections", r"upstreams: .* and 11 more: connection: they refuse connections")
def refused(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    yield at(machine, directory, names=machine.names | dict.fromkeys(HOSTS, SILENT))


@broken("a firewall that drops packets", r"upstreams: .* and 11 more: connection: they did not answer in time")
def dropped(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    yield at(machine, directory, names=machine.names | dict.fromkeys(HOSTS, DROPPED))


@broken("no DNS for registries", r"upstreams: .* and 11 more: name: their names cannot be resolved")
def unresolved(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    yield at(machine, directory, names={name: where for name, where in machine.names.items() if name not in HOSTS})


@broken("a wrong clock", r"clock: this machine: is 24 h ahead, by ")
def wrong_clock(machine: SetUp, directory: Path) -> Iterator[SetUp]:
    date = Date(directory)
    date.set(DAY)
    yield at(machine, directory, environment={**machine.environment, **date.environment})


# What is said of each


def test_the_set_up_that_is_not_broken_is_well(machine: SetUp, tmp_path: Path) -> None:
    words = at(machine, tmp_path).words()
    assert (words.status, list(words.start), list(words.doctor)) == (None, [], [])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_said_of_a_broken_set_up_is_on_the_page(
    machine: SetUp, workers: int, tmp_path: Path, name: str
) -> None:
    says, make = BROKEN[name]
    with make(machine, tmp_path) as setup:
        words = setup.words()
    # However many names it hits.
    assert len(words.doctor) == 1, words.doctor
    (cause,) = words.doctor
    assert re.match(says, cause.text)
    row, page = words.row(name, setup.places), PAGE.read_text("utf-8")
    if WRITES and workers == 1:
        rows = rows_of(page) | {name: row}
        PAGE.write_text(with_rows(page, {each: rows[each] for each in BROKEN if each in rows}), encoding="utf-8")
        return
    wanted = row_of(page, name)
    if workers > 1:
        # The first process listens before its workers open anything: what both say is told in another order.
        row, wanted = in_order(row), in_order(wanted)
    assert row == wanted, "run make broken-setups, and read what it wrote"


def in_order(row: str) -> str:
    """Return a row with what is said in an order that does not depend on when it is."""
    return " | ".join("<br>".join(sorted(cell.split("<br>"))) for cell in row.split(" | "))


def test_the_page_has_these_set_ups_and_no_others() -> None:
    assert list(rows_of(PAGE.read_text("utf-8"))) == list(BROKEN)
