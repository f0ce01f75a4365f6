"""A daemon that cannot start: one line that says what, where and what to do, and the exit status."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, configuration
from tests.parts.operator import Operator
from tests.parts.process import clean_environment
from tests.parts.requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
TWISTD = (str(BIN / "twistd"), "-n", "--pidfile=", "crproxy")
SERVE = (str(BIN / "crproxy"), "serve")
BACKGROUND = (str(BIN / "twistd"), "--pidfile=daemon.pid", "crproxy")
ANY_PORT = ("--http", "tcp:0:interface=127.0.0.1")
# Root without the right to pass over owners and modes, and to take ports below 1024.
_LESS = "-dac_override,-dac_read_search,-net_bind_service,-chown,-fowner"
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a start ended."""

    status: int
    line: str


@dataclass(frozen=True, slots=True)
class Starts:
    """Starts daemons that do not come to run, in a directory of their own."""

    directory: Path

    def __call__(self, *words: str, how: Sequence[str] = TWISTD, before: Sequence[str] = (), **variables: str) -> Ended:
        done = subprocess.run(
            [*before, *how, *words],
            cwd=self.directory,
            env=clean_environment(self.directory, **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        assert "Usage:" not in done.stdout, done.stdout
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("crproxy: ")
        return Ended(done.returncode, done.stderr.removeprefix("crproxy: ").removesuffix("\n"))

    def with_file(self, text: str, *words: str, how: Sequence[str] = TWISTD) -> Ended:
        """Start one with this configuration."""
        self.file.write_text(text)
        return self("--config", str(self.file), *ANY_PORT, "--data-dir", "data", *words, how=how)

    @property
    def file(self) -> Path:
        return self.directory / "crproxy.toml"


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    return Starts(tmp_path)


@pytest.fixture
def taken() -> Iterator[str]:
    """An endpoint that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield f"tcp:{somebody.getsockname()[1]}:interface=127.0.0.1"


WAYS = {
    "twistd": (TWISTD, ()),
    "twistd-two-workers": (TWISTD, ("--workers", "2")),
    "serve": (SERVE, ()),
    "background": (BACKGROUND, ()),
    "background-two-workers": (BACKGROUND, ("--workers", "2")),
}


@pytest.mark.parametrize("way", WAYS)
class TestInEveryWay:
    def test_a_port_that_is_taken(self, starts: Starts, taken: str, way: str) -> None:
        how, words = WAYS[way]
        ended = starts("--http", taken, "--data-dir", "data", *words, how=how)
        assert ended == Ended(
            1,
            f"cannot listen on {taken}: Address already in use: another program listens there, which ss -ltnp names. "
            "Give another endpoint with --http, such as --http tcp:5001:interface=127.0.0.1",
        )
        assert not (starts.directory / "daemon.pid").exists()
        if how is BACKGROUND:
            assert f"cannot listen on {taken}" in (starts.directory / "twistd.log").read_text()

    def test_a_mistake_in_the_file(self, starts: Starts, way: str) -> None:
        how, words = WAYS[way]
        ended = starts.with_file('\ndomian = "cr.example.com"', *words, how=how)
        assert ended == Ended(2, f"{starts.file}: line 2: domian: there is no such key; did you mean domain?")


class TestPorts:
    @pytest.mark.parametrize(
        ("text", "advice"),
        [
            ('domain = "cr.test"\n[acme]\ndirectory = "none"\n[listen]\nhttps = ["TAKEN"]', "with --https, such as"),
            ('[metrics]\nlisten = "TAKEN"', "as listen under [metrics]"),
            ('[proxy]\nlisten = ["TAKEN"]', "as listen or listen_tls under [proxy]"),
            ('[listen]\nadmin = "TAKEN"', "as admin under [listen]"),
        ],
    )
    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_each_may_be_taken(self, starts: Starts, taken: str, text: str, advice: str, workers: str) -> None:
        ended = starts.with_file(text.replace("TAKEN", taken), "--workers", workers)
        assert ended.status == 1
        assert ended.line.startswith(f"cannot listen on {taken}: Address already in use: another program listens there")
        assert advice in ended.line

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_privileged_one_without_the_right_to_it(self, starts: Starts, workers: str) -> None:
        need_root("a network of its own")
        before = [need("unshare"), "--net", need("setpriv"), f"--bounding-set={_LESS}", f"--inh-caps={_LESS}"]
        ended = starts("--http", "tcp:80", "--data-dir", "data", "--workers", workers, before=before)
        assert ended.status == 1
        assert ended.line.startswith("cannot listen on tcp:80: Permission denied: ports below 1024 take root, ")

    def test_an_admin_socket_that_a_daemon_has(self, starts: Starts, tmp_path: Path) -> None:
        path = tmp_path / "a.sock"
        text = f'[listen]\nadmin = "unix:{path}"\n'
        (tmp_path / "first").mkdir()
        with Daemon(tmp_path / "first", text) as daemon:
            daemon.wait_for_log("listens on admin://")
            ended = starts.with_file(text)
            assert ended.status == 1
            assert ended.line.startswith(f"cannot listen on unix:{path}: another daemon has it")
            # And it has it still.
            assert Operator(tmp_path, path).runs("cache", "stats").status == 0


FAULTS = {
    "no-toml": (
        'default_registry = "quay.io"\ndomain = cr.example.com',
        "line 2, column 10: this is not TOML: Invalid value; texts stand in quotes",
    ),
    "unknown-key": ("[cache]\nsise = '1G'", "line 2: cache.sise: there is no such key; did you mean size?"),
    "wrong-type": ("[cache]\nsize = 50", "line 2: cache.size: 50 is not a text: put it in quotes"),
    "no-password": (
        '[upstreams."quay.io"]\nusername = "me"\npassword_file = "/no/password"',
        'line 3: upstreams."quay.io".password_file: /no/password cannot be read: No such file or directory: '
        "make it, or name another",
    ),
    "no-certificates": (
        'domain = "cr.test"\ncerts = "/no/certs"',
        "certs: /no/certs cannot be read: No such file or directory: make it, or name another",
    ),
    "no-domain": (
        '[listen]\nhttps = ["tcp:443"]',
        "line 2: listen.https: TLS needs a domain, whose certificate is shown: set domain, or --domain",
    ),
}


class TestConfiguration:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_fault_is_told_with_its_place(self, starts: Starts, fault: str) -> None:
        text, line = FAULTS[fault]
        assert starts.with_file(text) == Ended(2, f"{starts.file}: {line}")

    def test_a_file_that_is_not_there(self, starts: Starts) -> None:
        ended = starts("--config", "/no/crproxy.toml")
        assert ended == Ended(
            2, "/no/crproxy.toml: cannot be read: No such file or directory: make it, or name another"
        )

    @pytest.mark.parametrize("named", ["crproxy.toml", "password"])
    def test_a_file_that_may_not_be_read(self, starts: Starts, named: str) -> None:
        need_root("files that are somebody else's")
        password = starts.directory / "password"
        password.write_text("secret")
        starts.file.write_text(f'[upstreams."quay.io"]\nusername = "me"\npassword_file = "{password}"\n')
        os.chown(starts.directory / named, 1, 1)
        (starts.directory / named).chmod(0o600)
        before = [need("setpriv"), f"--bounding-set={_LESS}", f"--inh-caps={_LESS}"]
        ended = starts("--config", str(starts.file), before=before)
        assert ended.status == 2
        assert ended.line.startswith(f"{starts.file}: ")
        assert "cannot be read: Permission denied: the user that crproxy runs as must be able to read it" in ended.line

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (
                ["--domian", "x"],
                "--domian: there is no such option; did you mean --domain? (HELP)",
            ),
            (["-x"], "-x: there is no such option (HELP)"),
            (["--domain"], "option --domain requires argument (HELP)"),
            (["start"], "'start' is no option, and there are only those (HELP)"),
            (
                ["--cache-size", "big"],
                "--cache-size: 'big' is not a size: write a number and K, M, G or T, such as 50G",
            ),
            (
                ["--workers", "0"],
                '--workers 0: write the number of processes, 1 to 256, or "auto" for one for each core',
            ),
            (
                ["--https", "tcp:443"],
                "--https: TLS needs a domain, whose certificate is shown: set domain, or --domain",
            ),
            (
                ["--http", "5000"],
                "'5000' is not an endpoint (Unknown endpoint type: '5000'): write one such as "
                "tcp:5000:interface=127.0.0.1",
            ),
        ],
    )
    @pytest.mark.parametrize("how", [TWISTD, SERVE], ids=["twistd", "serve"])
    def test_an_option(self, starts: Starts, words: list[str], line: str, how: Sequence[str]) -> None:
        assert starts(*words, how=how) == Ended(2, line.replace("HELP", "crproxy serve --help lists all"))

    def test_a_variable(self, starts: Starts) -> None:
        ended = starts(CRPROXY_CACHE_SIZE="big")
        assert ended == Ended(
            2, "CRPROXY_CACHE_SIZE: 'big' is not a size: write a number and K, M, G or T, such as 50G"
        )
        assert starts(CRPROXY_CONFIG="/no/file").line.startswith("/no/file: cannot be read: ")

    def test_the_tac(self, starts: Starts) -> None:
        shutil.copy(ROOT / "crproxy.tac", starts.directory)
        starts.file.write_text("x = 1")
        how = (str(BIN / "twistd"), "-n", "--pidfile=daemon.pid", "-y", "crproxy.tac")
        ended = starts(how=how, CRPROXY_CONFIG=str(starts.file))
        assert ended.status == 2
        assert ended.line.startswith(f"{starts.file}: line 1: x: there is no such key")

    def test_the_tac_with_a_port_that_is_taken(self, starts: Starts, taken: str) -> None:
        shutil.copy(ROOT / "crproxy.tac", starts.directory)
        how = (str(BIN / "twistd"), "-n", "--pidfile=daemon.pid", "-y", "crproxy.tac")
        ended = starts(how=how, CRPROXY_HTTP=taken, CRPROXY_DATA_DIR="data")
        assert ended.status == 1
        assert ended.line.startswith(f"cannot listen on {taken}: Address already in use")
        assert not (starts.directory / "daemon.pid").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
class TestDirectories:
    def test_a_data_directory_of_somebody_elses(self, starts: Starts, workers: str) -> None:
        need_root("a directory that is somebody else's")
        data = starts.directory / "data"
        data.mkdir(mode=0o700)
        os.chown(data, 1, 1)
        before = [need("setpriv"), f"--bounding-set={_LESS}", f"--inh-caps={_LESS}"]
        ended = starts(*ANY_PORT, "--data-dir", str(data), "--workers", workers, before=before)
        assert ended == Ended(
            1,
            f"the data directory {data} cannot be used by the user with the number 0: {data}/cache: Permission denied. "
            f"Let that user have it (chown -R 0 {data}), or name another with --data-dir",
        )

    def test_a_file_in_its_place(self, starts: Starts, workers: str) -> None:
        (starts.directory / "data").write_text("")
        ended = starts(*ANY_PORT, "--data-dir", "data", "--workers", workers)
        assert ended.status == 1
        assert ended.line.startswith("the data directory data cannot be used by the user with the number ")

    def test_what_only_a_worker_finds_out(self, starts: Starts, workers: str) -> None:
        """Where there are several, it is the first process that says so."""
        (starts.directory / "data").mkdir()
        (starts.directory / "data" / "proxy-ca").write_text("in the way")
        ended = starts("--proxy", "tcp:0:interface=127.0.0.1", *ANY_PORT, "--data-dir", "data", "--workers", workers)
        assert ended.status == 1
        assert ended.line.startswith("the CA of the proxy cannot be read or written: [Errno 20] Not a directory")


def test_every_command_finds_the_daemon_by_the_configuration(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    text = f'data_dir = "{data}"\n{configuration({})}'
    with Daemon(tmp_path, text, data) as daemon:
        daemon.wait_for_log("listens on admin://")
        operator = Operator(tmp_path)
        assert operator.runs("cache", "stats").status == 3
        assert operator.runs("cache", "stats", "--config", str(daemon.file)).status == 0
        assert operator.with_variables(CRPROXY_CONFIG=str(daemon.file)).runs("cache", "stats").status == 0
        assert operator.with_variables(CRPROXY_DATA_DIR=str(data)).runs("cache", "stats").status == 0
        assert operator.with_variables(STATE_DIRECTORY=str(data)).runs("alias", "list").status == 0


def test_options_by_variables_make_a_daemon(tmp_path: Path) -> None:
    variables = {"CRPROXY_DOMAIN": "cr.test", "CRPROXY_ALIAS": "corp=quay.io quay=", "CRPROXY_CACHE_SIZE": "1G"}
    with Daemon(tmp_path, None, environment=variables) as daemon:
        aliases = Operator.of(daemon, tmp_path).runs("alias", "list", "--json").json()
        assert aliases["corp.cr.test"] == "quay.io"
        assert "quay.cr.test" not in aliases


PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
DOCUMENTED = PAGE.partition("\n## At the start and at a reload\n")[2].partition("```text\n")[2].partition("```")[0]

WORDS = {
    "taken port": ('[listen]\nhttp = ["TAKEN"]', 1),
    "no TOML": ("# What our cluster pulls through.\ndomain = cr.example.com", 2),
    "unknown key": ('[cache]\nsise = "200G"', 2),
    "wrong type": ("[cache]\nsize = 200", 2),
    "missing password": ('[upstreams."docker.io"]\nusername = "me"\npassword_file = "/etc/crproxy/password"', 2),
    "missing certificates": ('domain = "cr.example.com"\ncerts = "/etc/crproxy/certs"', 2),
    "no domain": ('[listen]\nhttps = ["tcp:443"]', 2),
    "no endpoint": ("[listen]\nhttp = ['5000']", 2),
}


@pytest.mark.parametrize("fault", WORDS)
def test_the_documentation_has_the_words(starts: Starts, taken: str, fault: str) -> None:
    text, status = WORDS[fault]
    starts.file.write_text(text.replace("TAKEN", taken))
    ended = starts("--config", str(starts.file), "--data-dir", "data")
    line = ended.line.replace(str(starts.file), "/etc/crproxy/crproxy.toml")
    line = line.replace(taken, "tcp:5000:interface=127.0.0.1")
    assert ended.status == status
    assert f"crproxy: {line}" in DOCUMENTED.splitlines()


def test_it_has_no_others() -> None:
    assert len(DOCUMENTED.splitlines()) == len(WORDS)
