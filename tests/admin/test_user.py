"""``crproxy user``: what becomes of the file, and what the daemon is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, fail, succeed

from crproxy.admin.command import main
from crproxy.admin.paths import SOCKET_VARIABLE
from crproxy.admin.site import make_admin_site
from crproxy.admin.users_resource import UsersResource
from crproxy.config import Clients, ConfigError
from crproxy.config.clients import read_users
from tests.admin.test_client import answer, daemon
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser, Received

PASSWORD = "right: horse@stable"
Reload = Callable[[], Deferred[tuple[str, ...]]]


@pytest.fixture(autouse=True)
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "admin.sock"
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def run(*words: str, stdin: str = f"{PASSWORD}\n") -> Result:
    return CliRunner().invoke(main, ["user", *words], input=stdin)


def add(file: Path, *words: str, stdin: str = f"{PASSWORD}\n") -> Result:
    return run("add", *words, "--password-stdin", "--file", str(file), stdin=stdin)


@contextmanager
def running(socket: Path, used: Path | None, *more: bytes) -> Iterator[list[bytes]]:
    """A daemon that uses that file."""
    state = answer(200, {"file": None if used is None else str(used), "users": ["alice"]})
    with daemon(socket, state, *more) as asked:
        yield asked


def test_a_user_is_added_replaced_and_removed(file: Path) -> None:
    file.write_text("# ours\n")
    assert add(file, "alice").exit_code == 0
    hashed = read_users(file.read_text())["alice"]
    assert hashed.startswith(b"$2y$10$")
    assert bcrypt.checkpw(PASSWORD.encode(), hashed)
    again = add(file, "alice", stdin="other\n")
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    assert bcrypt.checkpw(PASSWORD.encode(), read_users(file.read_text())["alice"])
    assert add(file, "alice", "--replace", "--cost", "11", stdin="other\r\n").exit_code == 0
    assert bcrypt.checkpw(b"other", read_users(file.read_text())["alice"])
    assert add(file, "bob").exit_code == 0
    listed = run("list", "--file", str(file), "--json")
    assert json.loads(listed.stdout)["users"] == [
        {"name": "alice", "cost": 11, "counts": False},
        {"name": "bob", "cost": 10, "counts": False},
    ]
    assert run("remove", "alice", "--file", str(file)).exit_code == 0
    assert list(read_users(file.read_text())) == ["bob"]
    assert file.read_text().startswith("# ours\nbob:")


def test_who_is_nobody_cannot_be_removed(file: Path) -> None:
    missing = run("remove", "alice", "--file", str(file))
    assert (missing.exit_code, "there is no" in missing.output) == (1, True)
    add(file, "bob")
    nobody = run("remove", "alice", "--file", str(file))
    assert (nobody.exit_code, "there is no alice in" in nobody.output) == (1, True)


def test_the_last_one_stays_since_a_file_without_any_would_not_be_taken(file: Path) -> None:
    add(file, "alice")
    before = file.read_text()
    result = run("remove", "alice", "--file", str(file))
    assert (result.exit_code, "the only one" in result.output) == (1, True)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("a:b", "x", "has a colon"),
        ("a\x07", "x", "control character"),
        ("alice", "", "no password"),
        ("alice", "a\x07b", "control characters"),
        ("alice", "x" * 73, "72 bytes"),
        ("alice", "ü" * 37, "72 bytes"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(file: Path, name: str, password: str, said: str) -> None:
    result = add(file, name, stdin=f"{password}\n")
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output
    assert not file.exists()


@pytest.mark.parametrize("cost", ["4", "9", "15"])
def test_a_cost_has_bounds(file: Path, cost: str) -> None:
    assert add(file, "alice", "--cost", cost).exit_code == 2


def test_a_password_is_no_argument_and_needs_a_terminal_or_a_pipe(file: Path) -> None:
    assert run("add", "alice", "secret", "--file", str(file)).exit_code == 2
    assert run("add", "alice", "--password", "secret", "--file", str(file)).exit_code == 2
    result = run("add", "alice", "--file", str(file))
    assert (result.exit_code, "--password-stdin" in result.output) == (2, True)


def test_the_file_is_the_one_of_the_configuration_be_it_there_or_not(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "crproxy.toml"
    config.write_text(f'[clients]\nhtpasswd = "{file}"\n')
    for name in ("alice", "bob"):
        assert run("add", name, "--password-stdin", "--config", str(config)).exit_code == 0
    assert list(read_users(file.read_text())) == ["alice", "bob"]
    config.write_text("")
    result = run("add", "carol", "--password-stdin", "--config", str(config))
    assert result.exit_code == 2
    # One line, and not how the command is used.
    assert result.output.startswith(f"Error: {config} names no htpasswd file: name it by --file")
    config.write_text("[clients\n")
    assert run("list", "--config", str(config)).exit_code == 1


def test_a_daemon_that_reads_it_is_told(file: Path, socket: Path) -> None:
    with running(socket, file, answer(200, {"file": str(file), "users": ["alice"]})) as asked:
        result = add(file, "alice")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "the daemon has taken it up"
    assert [line.split()[:2] for line in asked] == [[b"GET", b"/users"], [b"POST", b"/users"]]


@pytest.mark.parametrize(("used", "said"), [(None, "asks nobody for a login"), (Path("/other"), "reads another file")])
def test_one_that_does_not_is_warned_of(file: Path, socket: Path, used: Path | None, said: str) -> None:
    with running(socket, used):
        result = add(file, "alice")
    assert (result.exit_code, said in result.stderr) == (0, True)


def test_one_that_does_not_take_it_makes_the_command_fail(file: Path, socket: Path) -> None:
    with running(socket, file, answer(400, {"error": "line 3 is no user"})):
        result = add(file, "alice")
    assert (result.exit_code, "the daemon does not take it: line 3 is no user" in result.stderr) == (1, True)


def test_without_one_the_file_is_written_all_the_same(file: Path) -> None:
    result = add(file, "alice")
    assert (result.exit_code, "reads the file when it starts" in result.stderr) == (0, True)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = add(tmp_path / "crpoxy" / "config" / "htpasswd", "alice")
    assert done.exit_code == 1
    assert f"there is no such directory: mkdir -p {tmp_path}/crpoxy/config" in done.stderr


def test_a_file_that_everybody_reads_is_told(file: Path) -> None:
    file.write_text("")
    file.chmod(0o644)
    assert f"chmod o-r {file}" in add(file, "alice").stderr


def test_people_see_whether_the_daemon_knows_them(file: Path, socket: Path) -> None:
    for name in ("alice", "bob"):
        add(file, name)
    with running(socket, file):
        lines = run("list", "--file", str(file)).stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["alice", "bcrypt,", "cost", "10", "yes"],
        ["bob", "bcrypt,", "cost", "10", "not", "yet"],
    ]
    socket.unlink()
    with running(socket, None):
        result = run("list", "--file", str(file))
    assert "asks nobody" in result.stderr
    assert "unknown" in result.stdout


def test_a_line_that_counts_for_nobody_is_told(file: Path) -> None:
    file.write_text("alice:$apr1$x\n")
    result = run("list", "--file", str(file))
    assert (result.exit_code, "line 1 is no user" in result.output) == (1, True)


# What the daemon answers


def ask(method: str, clients: Clients, reload: Reload = lambda: succeed(())) -> Received:
    network = Network()
    resource = UsersResource(lambda: clients, reload)
    site = make_admin_site(
        dict,
        lambda label, registry: pytest.fail("not asked"),
        lambda: succeed([]),
        network.clock,
        resources={"users": resource},
    )
    browser = Browser(site, network)
    browser.send(f"{method} /users HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    network.advance(1)
    return browser.received()


def test_who_counts_and_by_which_file_is_told() -> None:
    known = Clients({"bob": b"", "alice": b""}, htpasswd="/etc/crproxy/htpasswd")
    for method in ("GET", "POST"):
        received = ask(method, known)
        assert received.status == 200
        assert json.loads(received.body) == {"file": "/etc/crproxy/htpasswd", "users": ["alice", "bob"]}
    assert json.loads(ask("GET", Clients()).body) == {"file": None, "users": None}


def test_what_hinders_it_is_told() -> None:
    def reload() -> Deferred[tuple[str, ...]]:
        return fail(ConfigError("it was not read again"))

    received = ask("POST", Clients(), reload)
    told = without_id(json.loads(received.body)["error"], received.one("X-Request-Id"))
    assert (received.status, told) == (400, "it was not read again")
