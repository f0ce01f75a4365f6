"""``crproxy user``: who is added may log in at once, and who is removed may not, whichever worker answers."""

from __future__ import annotations

import base64
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon
from tests.parts.operator import Operator
from tests.parts.raw_http import ask

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.operator import Said

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

PASSWORD = "right: horse@stable"
# So that each of two workers is asked, which share their connections as the kernel likes.
ASKED = 8


def where(daemon: Daemon) -> tuple[str, ...]:
    """Its configuration, and its socket: by that file alone it would be in the usual data directory."""
    return ("--config", str(daemon.file), "--socket", str(daemon.data_dir / "admin.sock"))


def add(operator: Operator, daemon: Daemon, name: str, *words: str, password: str = PASSWORD) -> Said:
    config = where(daemon)
    return operator.runs("user", "add", name, "--password-stdin", *config, *words, stdin=f"{password}\n")


def statuses(daemon: Daemon, user: str, password: str = PASSWORD) -> set[int]:
    credentials = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return {ask(daemon.address, "GET", "/v2/", ("Authorization", credentials)).status for _ in range(ASKED)}


def test_who_is_added_may_log_in_and_who_is_removed_may_not(tmp_path: Path) -> None:
    file, config = tmp_path / "htpasswd", tmp_path / "first.toml"
    config.write_text(f'[clients]\nhtpasswd = "{file}"\n')
    # Before there is a file, a daemon would not start.
    operator = Operator(tmp_path, tmp_path / "data" / "admin.sock")
    words = ("user", "add", "alice", "--password-stdin", "--config", str(config))
    first = operator.runs(*words, stdin=f"{PASSWORD}\n")
    assert (first.status, "which was made" in first.out) == (0, True)
    assert "reads the file when it starts" in first.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Daemon(tmp_path, config.read_text()) as daemon:
        operator = Operator.of(daemon, tmp_path)
        assert statuses(daemon, "alice") == {200}
        assert statuses(daemon, "bob") == {401}
        file.write_text("# ours\r\n" + file.read_text())
        added = add(operator, daemon, "bob")
        assert (added.status, added.err) == (0, "")
        assert added.out.endswith("the daemon has taken it up\n")
        assert statuses(daemon, "bob") == {200}
        assert add(operator, daemon, "bob", "--replace", password="other").status == 0
        assert (statuses(daemon, "bob"), statuses(daemon, "bob", "other")) == ({401}, {200})
        listed = operator.runs("user", "list", *where(daemon), "--json").json()
        assert [(each["name"], each["counts"]) for each in listed["users"]] == [("alice", True), ("bob", True)]
        assert operator.runs("user", "remove", "alice", *where(daemon)).status == 0
        assert (statuses(daemon, "alice"), statuses(daemon, "bob", "other")) == ({401}, {200})
        assert file.read_bytes().startswith(b"# ours\r\nbob:")
        daemon.assert_calm()


def test_nothing_else_of_the_configuration_is_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    operator = Operator(tmp_path, tmp_path / "data" / "admin.sock")
    operator.runs("user", "add", "alice", "--password-stdin", "--file", str(file), stdin=f"{PASSWORD}\n")
    config = f'domain = "cr.test"\n[clients]\nhtpasswd = "{file}"\n'
    with Daemon(tmp_path, config) as daemon:
        operator = Operator.of(daemon, tmp_path)
        daemon.file.write_text(f'{config}[aliases]\nhub = "docker.io"\nnonsense\n')
        assert add(operator, daemon, "bob", "--file", str(file)).status == 0
        assert "hub.cr.test" not in operator.runs("alias", "list").out
        # A line that somebody else broke is told, and those who could log in before still can.
        file.write_text(f"{file.read_text()}broken\n")
        said = add(operator, daemon, "carol", "--file", str(file))
        assert (said.status, "the daemon does not take it" in said.err) == (1, True)
        listed = operator.runs("user", "list", "--file", str(file))
        assert (listed.status, "line 3 is no user" in listed.err) == (1, True)


def test_a_daemon_that_asks_nobody_or_reads_another_file_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    with Daemon(tmp_path, "") as daemon:
        said = add(Operator.of(daemon, tmp_path), daemon, "alice", "--file", str(file))
        assert (said.status, "asks nobody for a login" in said.err) == (0, True)


def test_of_many_at_the_same_time_none_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    operator = Operator(tmp_path, tmp_path / "admin.sock")

    def run(number: int) -> None:
        words = ("user", "add", f"user{number}", "--password-stdin", "--file", str(file))
        assert operator.runs(*words, stdin="x\n").status == 0

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read_text().splitlines()) == 6


def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "htpasswd"
    operator = Operator(tmp_path, tmp_path / "admin.sock")
    typed = iter(["secret\n", "another\n", "secret\n", "secret\n"])
    shown = operator.answers(["user", "add", "alice", "--file", str(file)], r"(?:Password of alice|Once more): ", typed)
    assert "do not match" in shown
    assert "secret" not in shown
    assert file.read_text().startswith("alice:$2y$10$")
