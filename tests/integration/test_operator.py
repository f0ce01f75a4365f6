"""``crproxy alias``, and what the operator is told where the daemon cannot be asked."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.issuing import DOMAIN, IssuingDaemon
from tests.parts.node import Node, read_only
from tests.parts.operator import Operator
from tests.parts.pebble import Pebble
from tests.parts.raw_http import ask
from tests.parts.requirements import need, need_root
from tests.parts.s_client import UNRECOGNIZED_NAME
from tests.parts.secure_http import SecureConnection

if TYPE_CHECKING:
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

PLAIN = ["--http", "tcp:0:interface=127.0.0.1", "--https", ""]
TEXT = """\
# What our cluster pulls through.
domain = "cr.test"   # the wildcard record leads here

[aliases]
# ours
team = "registry.team.example"   # asked for by the team
jujucharms = ""

# As small as it may be.
[cache]
size = "1G"
"""


def read_again(daemon: Daemon) -> str:
    """Let the daemon read what is in its file."""
    before = len(daemon.log)
    daemon.reload(daemon.file.read_text())
    return daemon.wait_for_log(r"the configuration was (not )?read again.*", after=before)[0]


def status(daemon: Daemon, host: str) -> int:
    return ask(daemon.address, "GET", "/v2/", ("Host", host)).status


def test_an_alias_that_is_added_is_pulled_from_has_a_certificate_and_is_kept(
    tmp_path: Path, fake: FakeUpstream, layout: Layout
) -> None:
    image, name = layout.image(), f"corp.{DOMAIN}"
    fake.publish("org/app", "v1", image)
    with (
        Pebble(tmp_path) as pebble,
        IssuingDaemon(
            tmp_path, pebble, aliases={"quay": "quay.io"}, upstreams={"quay.io": Upstream(fake.url)}
        ) as daemon,
    ):
        daemon.wait_until_certified(daemon.names)
        operator = Operator.of(daemon, tmp_path)
        before = daemon.file.read_text()
        assert daemon.look(name).alert == UNRECOGNIZED_NAME
        said = operator.runs("alias", "add", "corp", "quay.io")
        assert (said.status, said.err) == (0, "")
        assert said.out.startswith(f"{name} stands for quay.io now, and in {daemon.file}\n")
        daemon.wait_until_certified([name])
        shown = daemon.look(name)
        assert (shown.verdict, shown.names) == ("ok", [name])
        with SecureConnection(daemon.tls_port, name, daemon.root) as connection:
            assert connection.get("/v2/org/app/manifests/v1").status == 200
        assert daemon.file.read_text().replace('corp = "quay.io"\n', "") == before
        assert read_again(daemon) == "the configuration was read again: nothing has changed"
        assert daemon.look(name).verdict == "ok"
        assert operator.runs("alias", "list", "--json").json()[name] == "quay.io"
        assert operator.runs("alias", "remove", "corp").status == 0
        assert daemon.look(name).alert == UNRECOGNIZED_NAME
        assert daemon.file.read_text() == before


def test_comments_and_layout_stay(tmp_path: Path) -> None:
    with Daemon(tmp_path, TEXT) as daemon:
        daemon.file.chmod(0o640)
        operator = Operator.of(daemon, tmp_path)
        assert operator.runs("alias", "add", "corp", "registry.corp.example").status == 0
        assert operator.runs("alias", "add", "hub.example.net", "docker.io").status == 0
        added = 'jujucharms = ""\ncorp = "registry.corp.example"\n"hub.example.net" = "docker.io"\n'
        assert daemon.file.read_text() == TEXT.replace('jujucharms = ""\n', added)
        assert daemon.file.stat().st_mode & 0o777 == 0o640
        assert operator.runs("alias", "remove", "team").status == 0
        assert operator.runs("alias", "remove", "ghcr").status == 0
        without = TEXT.replace('team = "registry.team.example"   # asked for by the team\n', "")
        assert daemon.file.read_text() == without.replace('jujucharms = ""\n', f'{added}ghcr = ""\n')
        assert read_again(daemon) == "the configuration was read again: nothing has changed"
        assert [status(daemon, host) for host in ("corp.cr.test", "hub.example.net", "quay.cr.test")] == [200] * 3
        assert [status(daemon, host) for host in ("team.cr.test", "ghcr.cr.test")] == [421] * 2


def test_a_mistake_changes_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, TEXT) as daemon:
        operator = Operator.of(daemon, tmp_path)
        for words in (("add", "a b", "quay.io"), ("add", "corp", "not a name"), ("remove", "nobody")):
            said = operator.runs("alias", *words)
            assert said.status == 1
            assert said.err.startswith("Error: alias ")
        # What was written into the file meanwhile is wrong: it is left as it is.
        daemon.file.write_text(f"{TEXT}nonsense = 1\n")
        said = operator.runs("alias", "add", "corp", "quay.io")
        assert said.status == 1
        assert said.out == "corp.cr.test stands for quay.io now\n"
        assert "nonsense" in said.err
        assert f'write into {daemon.file}:\n\n[aliases]\ncorp = "quay.io"\n' in said.err
        assert daemon.file.read_text() == f"{TEXT}nonsense = 1\n"
        assert status(daemon, "corp.cr.test") == 200


def test_what_the_command_line_says_wins_and_is_told(tmp_path: Path) -> None:
    with Daemon(tmp_path, TEXT, listen=[*PLAIN, "--alias", "corp=quay.io"]) as daemon:
        said = Operator.of(daemon, tmp_path).runs("alias", "add", "corp", "ghcr.io")
        assert said.status == 1
        assert "(--alias) says otherwise, and wins" in said.err
        assert daemon.file.read_text() == TEXT


def test_without_a_file_it_is_said_how_it_is_kept(tmp_path: Path) -> None:
    with Daemon(tmp_path, None, listen=[*PLAIN, "--domain", "cr.test"]) as daemon:
        said = Operator.of(daemon, tmp_path).runs("alias", "add", "corp", "ghcr.io")
        assert (said.status, said.out) == (1, "corp.cr.test stands for ghcr.io now\n")
        assert "was started without a configuration file" in said.err
        assert "--alias corp=ghcr.io" in said.err
        assert '[aliases]\ncorp = "ghcr.io"' in said.err
        assert status(daemon, "corp.cr.test") == 200


@dataclass(frozen=True, slots=True)
class ReadOnlyNode(Node):
    """Sees ``directory`` read-only."""

    directory: Path = Path()
    home: Path = Path()

    def command(self, command: Sequence[str]) -> list[str]:
        return [*read_only(self.directory, self.home), *command]


class TestReadOnly:
    """The daemon may read its file and not write it, as under systemd's ProtectSystem=strict."""

    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Iterator[Daemon]:
        etc, var = tmp_path / "etc", tmp_path / "var"
        etc.mkdir()
        var.mkdir()
        with Daemon(etc, TEXT, var / "data", listen=PLAIN, node=ReadOnlyNode(directory=etc, home=var)) as daemon:
            yield daemon

    def test_the_command_writes_what_the_daemon_may_not(self, daemon: Daemon, tmp_path: Path) -> None:
        said = Operator.of(daemon, tmp_path).runs("alias", "add", "corp", "quay.io", "--json")
        assert said.status == 0
        assert said.json()["kept"] is True
        assert daemon.file.read_text() == TEXT.replace('= ""\n', '= ""\ncorp = "quay.io"\n')
        assert read_again(daemon) == "the configuration was read again: nothing has changed"
        assert status(daemon, "corp.cr.test") == 200

    def test_where_neither_may_it_is_said_what_to_write(self, daemon: Daemon, tmp_path: Path) -> None:
        daemon.wait_for_log("listens on admin://")
        become = read_only(daemon.file.parent, tmp_path)
        said = Operator(tmp_path, daemon.data_dir / "admin.sock", become).runs("alias", "add", "corp", "quay.io")
        assert said.status == 1
        assert "the daemon cannot write it: Read-only file system; nor can you: Read-only file system" in said.err
        assert f'write into {daemon.file}:\n\n[aliases]\ncorp = "quay.io"\n' in said.err
        assert daemon.file.read_text() == TEXT
        assert status(daemon, "corp.cr.test") == 200

    def test_a_file_of_the_same_name_that_is_another_is_left_alone(self, daemon: Daemon, tmp_path: Path) -> None:
        """As where the daemon is in a container and the command is not."""
        other = f"{TEXT}# another\n"
        operator = Operator.of(daemon, tmp_path)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / daemon.file.name).write_text(other)
        words = [need("unshare"), "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh"]
        become = [*words, str(elsewhere), str(daemon.file.parent)]
        said = Operator(tmp_path, daemon.data_dir / "admin.sock", become).runs("alias", "add", "corp", "quay.io")
        assert said.status == 1
        assert "it is not the file that the daemon reads" in said.err
        assert (elsewhere / daemon.file.name).read_text() == other
        assert operator.runs("alias", "list").status == 0


# Where nobody answers


def test_where_there_is_no_daemon_it_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "admin.sock"
    said = Operator(tmp_path, nowhere).runs("cache", "stats")
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"Error: no daemon answers: there is no {nowhere}. Is crproxy running?")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(nowhere))
    said = Operator(tmp_path).runs("alias", "list", "--socket", str(nowhere))
    assert said.status == 3
    assert "crproxy has ended" in said.err


def test_the_socket_is_found_in_the_data_directory(tmp_path: Path) -> None:
    """A user's own daemon, which was started without a word, and a command without one."""
    data = tmp_path / ".local" / "share" / "crproxy"
    with Daemon(tmp_path, None, data, listen=PLAIN) as daemon:
        daemon.wait_for_log("listens on admin://")
        assert Operator(tmp_path).runs("cache", "stats", "--json").json()["contents"] == 0


def test_who_may_not_connect_is_told_who_may(tmp_path: Path) -> None:
    need_root("another user")
    with Daemon(tmp_path, configuration({})) as daemon:
        daemon.wait_for_log("listens on admin://")
        path = daemon.data_dir / "admin.sock"
        # Root may everything, but for what it gives away.
        words = [need("setpriv"), "--bounding-set=-dac_override", "--inh-caps=-dac_override", "--reuid=0"]
        path.chmod(0o060)
        os.chown(path, 1, 1)
        said = Operator(tmp_path, path, words).runs("cache", "stats")
        assert said.status == 3
        assert f"you may not connect to {path}, which is for " in said.err
        assert "sudo" in said.err
