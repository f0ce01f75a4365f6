"""crproxy doctor on a healthy set-up, and on nine broken ones, each broken in one place: it names that place.

Everything is real: the daemon, registries, a CA, a disk, the hosts file that names come from. Only the doctor's own
configuration, names and rights differ from test to test.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import os
import re
import shlex
import ssl
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crproxy.policy.aliases import BUILT_IN
from tests.parts.answers import Answer
from tests.parts.certificates import Authority, Certificate, signed_by_itself
from tests.parts.daemon import Daemon
from tests.parts.doctor import Found, Report, examine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.mounts import fill_up, small_disk
from tests.parts.node import Node
from tests.parts.pebble import Pebble
from tests.parts.ports import reserve_port
from tests.parts.program import Failed, Program
from tests.parts.registry import PASSWORD, USERNAME, DockerRegistry, htpasswd_auth
from tests.parts.requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

DOMAIN, ALIASES = "cr.test", ("docker.cr.test", "quay.cr.test")
KEPT = {"docker", "quay"}
# An address for documentation (RFC 5737): nobody's.
ELSEWHERE = "192.0.2.7"
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What the configuration says."""

    data_dir: Path
    certs: Path
    http: int
    https: int
    proxy: int
    proxy_tls: int
    endpoint: str
    ca_file: Path
    password: str = PASSWORD
    quay: str = ""
    acme: str = 'directory = "none"'
    size: str = "10M"

    @property
    def text(self) -> str:
        """The configuration file."""
        removed = "".join(f'{label} = ""\n' for label in BUILT_IN if label not in KEPT)
        return f"""
domain = "{DOMAIN}"
data_dir = {json.dumps(str(self.data_dir))}
certs = {json.dumps(str(self.certs))}
[listen]
http = ["tcp:{self.http}:interface=127.0.0.1"]
https = ["tcp:{self.https}:interface=127.0.0.1"]
[proxy]
listen = ["tcp:{self.proxy}:interface=127.0.0.1"]
listen_tls = ["tcp:{self.proxy_tls}:interface=127.0.0.1"]
[acme]
{self.acme}
[cache]
size = "{self.size}"
[aliases]
{removed}
[upstreams."docker.io"]
endpoint = "{self.endpoint}"
ca_file = {json.dumps(str(self.ca_file))}
username = "{USERNAME}"
password = "{self.password}"
[upstreams."quay.io"]
endpoint = "{self.quay or self.endpoint}"
ca_file = {json.dumps(str(self.ca_file))}
username = "{USERNAME}"
password = "{self.password}"
"""

    @property
    def options(self) -> list[str]:
        """Where the daemon listens."""
        http, https = (f"tcp:{port}:interface=127.0.0.1" for port in (self.http, self.https))
        return ["--http", http, "--https", https]


@dataclass(frozen=True, slots=True)
class House:
    """A healthy set-up, which runs."""

    setting: Setting
    authority: Authority
    node: Node
    daemon: Daemon


def fresh_ports() -> dict[str, int]:
    """Where a daemon of the test's own may listen."""
    return {name: reserve_port() for name in ("http", "https", "proxy", "proxy_tls")}


def write_certificate(directory: Path, certificate: Certificate) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "proxy.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    return directory


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout) -> Iterator[House]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    directory = tmp_path_factory.mktemp("registry")
    storage = directory / "storage"
    with DockerRegistry(tmp_path_factory.mktemp("pushed"), storage=storage) as open_registry:
        for repository in ("library/hello-world", "prometheus/busybox"):
            skopeo.push(layout.source(layout.image()), open_registry.authority, f"{repository}:latest")
    ports: dict[str, Any] = fresh_ports()
    certs = write_certificate(tmp_path_factory.mktemp("certs"), authority.issue(DOMAIN, f"*.{DOMAIN}"))
    node = Node.make(tmp_path_factory.mktemp("etc"), [DOMAIN, *ALIASES], authority.file)
    served = {"auth": htpasswd_auth(directory), "storage": storage, "certificate": authority.issue("127.0.0.1")}
    with DockerRegistry(directory, **served) as registry:  # type: ignore[arg-type]  # three kinds of values
        where = tmp_path_factory.mktemp("daemon")
        setting = Setting(where / "data", certs, endpoint=registry.url, ca_file=authority.file, **ports)
        with Daemon(where, setting.text, setting.data_dir, listen=setting.options) as daemon:
            yield House(setting, authority, node, daemon)


def look(directory: Path, house: House, *options: str, node: Node | None = None, **changes: Any) -> Report:
    """Let the doctor look at the house, with these changes to its configuration."""
    file = directory / "crproxy.toml"
    file.write_text(replace(house.setting, **changes).text)
    return examine(directory, "--config", str(file), *options, node=node or house.node)


def cause(report: Report) -> Found:
    """Where the doctor says to begin, having failed."""
    assert report.status == 1, report
    assert report.first_cause is not None
    return report.first_cause


def hosts(directory: Path, house: House, addresses: dict[str, str]) -> Node:
    """Return a node for which names lead to these addresses, and others to nowhere."""
    node = Node.make(directory, [], house.authority.file)
    lines = [f"{address} {name}" for name, address in addresses.items()]
    (directory / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    return node


HERE = dict.fromkeys((DOMAIN, *ALIASES), "127.0.0.1")


# All is well


def test_a_healthy_set_up_passes(tmp_path: Path, house: House) -> None:
    report = examine(tmp_path, "--config", str(house.daemon.file), "--strict", node=house.node)
    assert (report.status, report.first_cause) == (0, None), report
    assert {found.outcome for found in report.findings} <= {"ok", "skipped"}
    assert [found.outcome for found in report.about("proxy")] == ["ok"]
    setting, listening = house.setting, {found.subject for found in report.about("ports") if found.outcome == "ok"}
    ports = (setting.http, setting.https, setting.proxy, setting.proxy_tls)
    assert {f"tcp:{port}:interface=127.0.0.1" for port in ports} <= listening
    names = {found.subject for found in report.about("certificates") if found.outcome == "ok"}
    assert names == {DOMAIN, *ALIASES}
    subjects = {found.subject for found in report.about("upstreams") if found.outcome == "ok"}
    assert {"docker.io: login", "docker.io: manifest", "quay.io: manifest"} <= subjects
    assert "agrees with" in report.about("clock")[0].text


def test_one_registry_can_be_looked_at_alone(tmp_path: Path, house: House) -> None:
    report = look(tmp_path, house, "--upstream", "quay.io")
    assert {found.subject.partition(":")[0] for found in report.about("upstreams")} == {"quay.io"}


def test_without_the_daemon_it_says_so_and_looks_at_the_rest(tmp_path: Path, house: House) -> None:
    data_dir = tmp_path / "data"
    changes: dict[str, Any] = {"data_dir": data_dir, **fresh_ports()}
    report = look(tmp_path, house, **changes)
    assert report.status == 0
    assert report.first_cause is not None
    assert (report.first_cause.area, report.first_cause.text) == ("daemon", "is not running")
    assert {found.outcome for found in report.about("ports")} == {"skipped"}
    assert any(found.outcome == "ok" for found in report.about("upstreams"))
    assert look(tmp_path, house, "--strict", **changes).status == 2
    assert not data_dir.exists()


def test_a_file_that_differs_from_what_runs_is_noticed(tmp_path: Path, house: House) -> None:
    file = house.daemon.file
    before = file.read_text()
    secret = PASSWORD[::-1]
    file.write_text(f'{before.replace(PASSWORD, secret)}\n[limits]\ntotal = "1M/s"\n[timeouts]\nidle = "59s"\n')
    try:
        report = examine(tmp_path, "--config", str(file), node=house.node)
        file.write_text("domian = 1\n" + before)
        # Of another file, which can be read.
        broken = look(tmp_path, house)
    finally:
        file.write_text(before)
    (noticed,) = [found for found in report.findings if found.outcome == "warning" and found.area == "configuration"]
    assert noticed.subject == str(file)
    assert "[upstreams]: docker.io changed (password), quay.io changed (password)" in noticed.text
    assert "[limits]: total none -> 1 MiB/s" in noticed.text
    assert "timeouts (by a restart alone)" in noticed.text
    assert secret not in str(report)
    told = {found.subject: found for found in broken.about("configuration")}
    assert "could not read it as it is now: line 1: domian: there is no such key" in told[str(file)].text
    assert f"that is {file}" in told[str(tmp_path / "crproxy.toml")].text


# 1: wrong DNS


@pytest.mark.parametrize("workers", [1, 2], ids=["one-worker", "two-workers"])
def test_options_that_the_daemon_was_started_with_are_named(tmp_path: Path, workers: int) -> None:
    data_dir = tmp_path / "data"
    with Daemon(tmp_path, f'data_dir = "{data_dir}"\n', data_dir, workers=workers) as daemon:
        daemon.wait_for_log("listens on admin://")
        ours = ("--config", str(daemon.file), "--upstream", "quay.io")
        named = examine(tmp_path, *ours).first_cause
        assert named is not None
        assert (named.area, named.subject, named.outcome) == ("configuration", "options", "failed")
        assert f"crproxy was started with --data-dir={data_dir} " in named.text
        advised = re.match(r"crproxy doctor (.+); or write", named.advice)
        assert advised is not None
        again = examine(tmp_path, *ours, *shlex.split(advised[1]))
    assert "options" not in [one.subject for one in again.about("configuration")]
    assert "ports" not in again.failed


def test_an_alias_that_leads_elsewhere_is_named(tmp_path: Path, house: House) -> None:
    named = cause(look(tmp_path, house, node=hosts(tmp_path, house, {**HERE, "quay.cr.test": ELSEWHERE})))
    assert (named.area, named.subject) == ("dns", "quay.cr.test")
    assert f"leads to {ELSEWHERE}, the domain to 127.0.0.1" in named.text


def test_an_alias_that_leads_nowhere_is_named(tmp_path: Path, house: House) -> None:
    without = {name: address for name, address in HERE.items() if name != "docker.cr.test"}
    named = cause(look(tmp_path, house, node=hosts(tmp_path, house, without)))
    assert (named.area, named.subject, named.text) == ("dns", "docker.cr.test", "cannot be resolved")


def test_a_domain_that_leads_elsewhere_is_named(tmp_path: Path, house: House) -> None:
    named = cause(look(tmp_path, house, node=hosts(tmp_path, house, dict.fromkeys(HERE, ELSEWHERE))))
    assert (named.area, named.subject) == ("dns", DOMAIN)
    assert f"leads to {ELSEWHERE}, no address of this machine, and no crproxy answers there" in named.text


# 2: a closed port


def test_a_port_that_nobody_listens_at_is_named(tmp_path: Path, house: House) -> None:
    port = reserve_port()
    named = cause(look(tmp_path, house, https=port))
    assert (named.area, named.subject) == ("ports", f"tcp:{port}:interface=127.0.0.1")
    assert "nothing listens there, though crproxy runs" in named.text


def test_a_port_that_something_else_has_is_named(tmp_path: Path, house: House, fake: FakeUpstream) -> None:
    named = cause(look(tmp_path, house, http=fake.address[1]))
    assert (named.area, named.subject) == ("ports", f"tcp:{fake.address[1]}:interface=127.0.0.1")
    assert "not crproxy" in named.text


# 3: an expired certificate, and one for another name


def test_a_certificate_that_has_ended_is_named(tmp_path: Path, house: House) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certs = write_certificate(tmp_path / "certs", house.authority.issue(DOMAIN, f"*.{DOMAIN}", not_after=yesterday))
    changes: dict[str, Any] = {"certs": certs, "data_dir": tmp_path / "data", **fresh_ports()}
    setting = replace(house.setting, **changes)
    (tmp_path / "daemon").mkdir()
    with Daemon(tmp_path / "daemon", setting.text, setting.data_dir, listen=setting.options):
        named = cause(look(tmp_path, house, **changes))
    assert (named.area, named.subject) == ("certificates", DOMAIN)
    assert f"its certificate ended on {yesterday:%Y-%m-%d}" in named.text


def test_a_certificate_for_another_name_is_named(tmp_path: Path, house: House) -> None:
    """Crproxy itself shows none: it is what ends TLS in front of it that does."""
    certificate = house.authority.issue(DOMAIN, "docker.cr.test", "other.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    with FakeUpstream(context) as balancer:
        balancer.script("/v2/", Answer(body=b"{}", headers=(("Server", "crproxy/0"),)))
        report = look(tmp_path, house, https=balancer.address[1])
    named = cause(report)
    assert (named.area, named.subject) == ("certificates", "quay.cr.test")
    assert "its certificate is for other names: cr.test, docker.cr.test, other.test" in named.text
    assert report.failed == {"certificates"}


# 4: a full disk


def test_a_full_disk_is_named(tmp_path: Path, house: House) -> None:
    with small_disk(tmp_path / "disk", "1M") as disk:
        fill_up(disk)
        named = cause(look(tmp_path, house, data_dir=disk))
    assert (named.area, named.subject) == ("disk", str(disk))
    assert "the disk is full" in named.text


def test_a_disk_that_is_smaller_than_the_cache_may_be_is_told(tmp_path: Path, house: House) -> None:
    with small_disk(tmp_path / "disk", "100M") as disk:
        report = look(tmp_path, house, data_dir=disk, size="1G")
    (told,) = [found for found in report.about("disk") if found.outcome == "warning"]
    assert "the cache may take 1.0 GiB" in told.text


# 5: an upstream that is down


def test_an_upstream_that_is_down_is_named(tmp_path: Path, house: House) -> None:
    port = reserve_port()
    report = look(tmp_path, house, quay=f"https://127.0.0.1:{port}")
    named = cause(report)
    assert (named.area, named.subject) == ("upstreams", "quay.io: connection")
    assert "refuses connections" in named.text
    assert report.failed == {"upstreams"}


# 6: a wrong password


def test_a_wrong_password_is_named(tmp_path: Path, house: House) -> None:
    named = cause(look(tmp_path, house, password="wrong"))
    assert (named.area, named.subject) == ("upstreams", "docker.io: login")
    assert f"as '{USERNAME}': the registry does not know this username and password" in named.text


# 7: a wrong CA


def test_an_upstream_of_another_authority_is_named(tmp_path: Path, house: House) -> None:
    named = cause(look(tmp_path, house, ca_file=Authority(tmp_path).file))
    assert (named.area, named.subject) == ("upstreams", "docker.io: connection")
    assert "for whom no authority in its ca_file vouches" in named.text


def test_an_upstreams_certificate_that_has_ended_is_not_to_be_trusted_but_replaced(
    tmp_path: Path, house: House
) -> None:
    """Whoever has signed it: to name it as ca_file would not help."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    file = tmp_path / "registry.pem"
    file.write_bytes(signed_by_itself("localhost", not_after=yesterday))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    with FakeUpstream(context) as registry:
        named = cause(look(tmp_path, house, quay=f"https://localhost:{registry.address[1]}"))
    assert (named.area, named.subject) == ("upstreams", "quay.io: connection")
    assert f"its certificate, signed by itself, ended on {yesterday:%Y-%m-%d %H:%M} UTC" in named.text
    assert "has to replace it" in named.advice
    assert "ca_file" not in named.advice


def test_a_ca_of_another_authority_is_named(tmp_path: Path, house: House) -> None:
    strange, right = Authority(tmp_path), tmp_path / "pebble-ca.pem"
    with Pebble(tmp_path) as pebble:
        right.write_bytes(pebble.ca_bundle)
        ca = f'directory = "{pebble.directory_url}"\nca_file = '
        healthy = look(tmp_path, house, acme=ca + json.dumps(str(right)))
        named = cause(look(tmp_path, house, acme=ca + json.dumps(str(strange.file))))
    assert [found.outcome for found in healthy.about("ca")] == ["ok"]
    assert (named.area, named.subject) == ("ca", pebble.directory_url)
    assert "certificate verify failed" in named.text


# 8: a clock that is off


@pytest.mark.parametrize(("ours_is", "said"), [(-DAY, "24 h behind"), (DAY, "24 h ahead")])
def test_a_clock_that_is_off_is_named(
    tmp_path: Path, house: House, fake: FakeUpstream, ours_is: float, said: str
) -> None:
    """The machine's own clock is left alone: an upstream's is a day away."""
    theirs = datetime.datetime.now(datetime.UTC).timestamp() - ours_is
    fake.script("/v2/", Answer(body=b"{}", headers=(("Date", email.utils.formatdate(theirs, usegmt=True)),)))
    named = cause(look(tmp_path, house, "--upstream", "quay.io", quay=fake.url))
    assert named.area == "clock"
    assert said in named.text


def test_a_certificate_that_has_not_begun_where_the_clock_is_behind_is_no_fault_of_its_own(
    tmp_path: Path, house: House
) -> None:
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    begins = tomorrow - datetime.timedelta(hours=1)
    certificate = house.authority.issue("127.0.0.1", not_before=begins)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    with FakeUpstream(context) as registry:
        date = ("Date", email.utils.formatdate(tomorrow.timestamp(), usegmt=True))
        registry.script("/v2/", Answer(body=b"{}", headers=(date,)))
        told = look(tmp_path, house, "--upstream", "quay.io", quay=registry.url)
        # The same certificate, where others have the same time as we.
        registry.script("/v2/", Answer(body=b"{}"))
        early = look(tmp_path, house, "--upstream", "quay.io", quay=registry.url)
    assert told.failed == {"clock"}
    assert "24 h behind" in cause(told).text
    assert {found.text for found in told.about("upstreams")} >= {"it depends on what failed: clock"}
    named = cause(early)
    assert (named.area, named.subject) == ("upstreams", "quay.io: connection")
    assert f"its certificate begins on {begins:%Y-%m-%d %H:%M} UTC only" in named.text
    assert "unless this machine's clock is wrong" in named.advice


# 9: not enough permissions


def powerless() -> list[str]:
    """What runs a command that may do nothing but what files' modes allow.

    Root's number without root's powers (capabilities(7)): another user may not reach this environment, wherever it is.
    """
    need_root("giving files away")
    return [need("setpriv"), "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot"]


@dataclass(frozen=True, slots=True)
class Powerless(Node):
    """A machine on which everything is run so."""

    def command(self, command: Sequence[str]) -> list[str]:
        return Node(self.etc, self.authority).command([*powerless(), *command])


def give_away(path: Path, mode: int) -> None:
    path.chmod(mode)
    os.chown(path, 65534, 65534)


def look_powerless(directory: Path, house: House, text: str) -> Report:
    file = directory / "crproxy.toml"
    file.write_text(text)
    return examine(directory, "--config", str(file), node=house.node, before=powerless())


def test_a_password_file_that_may_not_be_read_is_named(tmp_path: Path, house: House) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    give_away(secret, 0o600)
    text = house.setting.text.replace(f'password = "{PASSWORD}"', f"password_file = {json.dumps(str(secret))}")
    named = cause(look_powerless(tmp_path, house, text))
    assert (named.area, named.subject) == ("permissions", str(secret))
    assert "cannot be read by" in named.text


def test_a_password_file_that_only_root_may_read_is_named_to_root(tmp_path: Path, house: House) -> None:
    """The doctor is root, and the daemon is not: it has read the file before that was so."""
    changes: dict[str, Any] = {"data_dir": tmp_path / "data", **fresh_ports()}
    setting = replace(house.setting, **changes)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    text = setting.text.replace(f'password = "{PASSWORD}"', f"password_file = {json.dumps(str(secret))}")
    node = Powerless(house.node.etc, house.node.authority)
    with Daemon(tmp_path, text, setting.data_dir, listen=setting.options, node=node):
        give_away(secret, 0o600)
        report = examine(tmp_path, "--config", str(tmp_path / "crproxy.toml"), node=house.node)
    named = cause(report)
    assert report.failed == {"permissions"}
    assert (named.area, named.subject) == ("permissions", str(secret))
    assert "can be read by root, and not by root, whom crproxy runs as" in named.text


def test_a_data_directory_that_may_not_be_written_is_named(tmp_path: Path, house: House) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    give_away(data_dir, 0o755)
    named = cause(look_powerless(tmp_path, house, replace(house.setting, data_dir=data_dir).text))
    assert (named.area, named.subject) == ("permissions", str(data_dir))
    assert "cannot be written by" in named.text


def test_a_port_that_may_not_be_listened_on_is_named(tmp_path: Path, house: House) -> None:
    # Some containers let everybody have every port.
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("every port is everybody's here")
    named = cause(look_powerless(tmp_path, house, replace(house.setting, http=81, data_dir=tmp_path / "data").text))
    assert (named.area, named.subject) == ("permissions", "tcp:81:interface=127.0.0.1")
    assert "ports below 1024 are privileged" in named.text


# What people see


def test_people_read_lines_and_where_to_begin(tmp_path: Path, house: House) -> None:
    file = tmp_path / "crproxy.toml"
    file.write_text(replace(house.setting, password="wrong").text)
    command = str(Path(sys.executable).parent / "crproxy")
    program = Program(house.node.command([command]), tmp_path, **house.node.environment)
    with pytest.raises(Failed) as raised:
        program.run("doctor", "--config", str(file))
    lines = str(raised.value).splitlines()
    begin = lines.index(next(line for line in lines if line.endswith("Begin with this:")))
    assert lines[begin + 1].startswith("failed   upstreams: docker.io: login: as 'puller': the registry does not know")
    assert "Correct username and password_file" in lines[begin + 2]
