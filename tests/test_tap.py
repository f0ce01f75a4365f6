from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.application.service import IService, IServiceMaker
from twisted.plugin import getPlugins

from crproxy import __version__, tap
from crproxy.config import Config, Log
from crproxy.config.options import OPTIONS, Option
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.log_lines import LogFormat, LogLevel
from crproxy.service.event_loop import set_up
from crproxy.tap import Options, makeService


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the garbage collector was told to pass over what is there: not in the tests' own process."""
    told: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: told.append(True))
    # The reactor of the tests may not run, so that nobody would turn it on again.
    monkeypatch.setattr(gc, "disable", lambda: None)
    return told


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's configuration would be."""
    path = tmp_path / "crproxy.toml"
    monkeypatch.setattr(tap, "SYSTEM_CONFIG", path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return path


def options(*words: str) -> Options:
    parsed = Options()
    parsed.parseOptions(list(words))
    return parsed


Mistake = Callable[..., str]


def loaded(*words: str) -> Config:
    config = options(*words)["loaded"]
    assert isinstance(config, Config)
    return config


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]) -> Mistake:
    """Returns what is said of a command line, behind the program's name: one line, after which the process ends."""

    def say(*words: str) -> str:
        with pytest.raises(SystemExit) as raised:
            options(*words)
        assert raised.value.code == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        return said.err.removeprefix("crproxy: ").removesuffix("\n")

    return say


def test_no_option_at_all_works(tmp_path: Path) -> None:
    assert loaded() == Config(data_dir=str(tmp_path / "state"))


def test_the_first_of_systemds_directories_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/crproxy:/var/lib/other")
    assert loaded().data_dir == "/var/lib/crproxy"


def test_without_systemd_data_lies_where_the_users_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert loaded().data_dir == str(tmp_path / "crproxy")


def test_a_data_directory_and_a_size_are_heard() -> None:
    config = loaded("--data-dir", "/srv/crproxy", "--cache-size", "50G")
    assert (config.data_dir, config.cache.size) == ("/srv/crproxy", 50 * 1024**3)


def test_a_size_that_is_none_is_told(mistake: Mistake) -> None:
    assert "'big' is not a size" in mistake("--cache-size", "big")


def test_a_node_that_is_advertised_needs_a_fleet(mistake: Mistake) -> None:
    assert "there is no [fleet]" in mistake("--fleet-advertise", "https://10.0.0.5:5443")


def test_asking_makes_no_directory(tmp_path: Path) -> None:
    loaded("--data-dir", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_options_are_heard() -> None:
    config = loaded("--domain", "cr.example.com", "--default-registry", "quay.io", "--http", "tcp:1", "--http=tcp:2")
    assert config.names.domain == "cr.example.com"
    assert config.names.default_registry == Registry("quay.io")
    assert config.listen.http == ("tcp:1", "tcp:2")


def test_where_the_http_proxy_is_may_be_said_more_than_once(mistake: Mistake) -> None:
    assert loaded().forward.listen == ()
    assert loaded("--proxy", "tcp:3128", "--proxy=tcp:3129").forward.listen == ("tcp:3128", "tcp:3129")
    assert loaded("--proxy", "").forward.listen == ()
    assert "expects a PROXY header" in mistake("--proxy", "haproxy:tcp:3128")


def test_an_empty_default_registry_turns_it_off() -> None:
    assert loaded().names.default_registry == DOCKER_HUB
    assert loaded("--default-registry", "").names.default_registry is None


def test_two_command_lines_share_nothing() -> None:
    loaded("--http", "tcp:1")
    assert loaded("--http", "tcp:2").listen.http == ("tcp:2",)


def test_the_systems_file_is_read_if_it_is_there(system: Path) -> None:
    system.write_text('domain = "system.example"')
    assert loaded().names.domain == "system.example"


def test_another_file_is_read_in_its_place(system: Path, tmp_path: Path) -> None:
    system.write_text('domain = "system.example"')
    other = tmp_path / "other.toml"
    other.write_text('domain = "other.example"')
    assert loaded("--config", str(other)).names.domain == "other.example"
    assert loaded("-c", str(other)).names.domain == "other.example"


def test_an_option_wins_over_the_file(system: Path) -> None:
    system.write_text('domain = "system.example"')
    assert loaded("-d", "option.example").names.domain == "option.example"


def test_a_password_file_is_read(system: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    system.write_text(f'[upstreams."quay.io"]\nusername = "u"\npassword_file = "{tmp_path}/password"')
    assert loaded().upstream(Registry("quay.io")).password == "secret"


def test_a_mistake_in_the_file_is_told_with_the_files_name(system: Path, mistake: Mistake) -> None:
    system.write_text("\ndomian = 1")
    assert mistake().startswith(f"{system}: line 2: domian: there is no such key")


def test_a_mistake_on_the_command_line_blames_no_file(mistake: Mistake) -> None:
    assert mistake("--domain", "localhost").startswith("--domain: 'localhost' is not a domain")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None, mistake: Mistake) -> None:
    path = tmp_path / "missing.toml"
    if content is not None:
        path.write_bytes(content)
    assert mistake("--config", str(path)).startswith(f"{path}: cannot be read: ")


def test_a_system_file_that_cannot_be_read_says_so(system: Path, mistake: Mistake) -> None:
    system.mkdir()
    assert mistake().startswith(f"{system}: cannot be read: ")


def test_a_system_file_of_which_nobody_may_know_says_so(
    system: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", denied)
    assert mistake().startswith(f"{system} cannot be read: Permission denied: ")


def test_the_file_may_be_named_by_a_variable(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    system.write_text('domain = "system.example"')
    other = tmp_path / "other.toml"
    other.write_text('domain = "other.example"')
    monkeypatch.setenv("CRPROXY_CONFIG", str(other))
    assert loaded().names.domain == "other.example"
    assert loaded("--config", str(system)).names.domain == "system.example"
    other.write_text("x = 1")
    assert mistake().startswith(f"{other}: line 1: x: there is no such key")


def test_what_variables_say_wins_over_the_file(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system.write_text('domain = "system.example"\nworkers = 2')
    monkeypatch.setenv("CRPROXY_DOMAIN", "variable.example")
    monkeypatch.setenv("CRPROXY_HTTP", "tcp:1 tcp:2")
    config = loaded()
    assert (config.names.domain, config.listen.http, config.workers) == ("variable.example", ("tcp:1", "tcp:2"), 2)
    assert loaded("--domain", "option.example", "--http", "tcp:3").listen.http == ("tcp:3",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--domian", "x"), "--domian: there is no such option; did you mean --domain? ("),
        (("-x",), "-x: there is no such option ("),
        (("--domain",), "option --domain requires argument ("),
        (("start",), "'start' is no option, and there are only those ("),
    ],
)
def test_an_option_that_there_is_not_is_told(mistake: Mistake, words: tuple[str, ...], said: str) -> None:
    assert mistake(*words).startswith(said)


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp:port", "tcp:80:x=y:z"])
def test_an_endpoint_that_is_none_is_told_before_anything_starts(endpoint: str, mistake: Mistake) -> None:
    assert f"{endpoint!r} is not an endpoint" in mistake("--http", endpoint)


@pytest.mark.parametrize("which", ["index=0", "name=https"])
def test_a_socket_that_systemd_did_not_hand_over_is_told(which: str, mistake: Mistake) -> None:
    assert "start crproxy.socket before the service" in mistake("--http", f"systemd:domain=INET6:{which}")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        options("--version")
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"crproxy {__version__}\n"


def test_what_the_log_has_may_be_said(mistake: Mistake) -> None:
    assert loaded("--log-level", "debug", "--log-format=json").log == Log(LogLevel.DEBUG, LogFormat.JSON)
    assert "--log-level loud: write one of debug" in mistake("--log-level", "loud")


def test_every_option_is_explained() -> None:
    text = str(Options())
    for option in ("--config", "--domain", "--data-dir", "--cache-size", "--default-registry", "--http", "--version"):
        assert option in text


def test_twistd_gets_a_service() -> None:
    assert IService.providedBy(makeService(options()))


def test_twistd_finds_the_plugin() -> None:
    (maker,) = (plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "crproxy")
    assert maker.options is Options
    assert maker.makeService is makeService


def test_what_is_there_when_it_runs_is_spared_by_the_collector(frozen: list[bool]) -> None:
    started: list[Callable[[], object]] = []

    class Reactor:
        def callWhenRunning(self, call: Callable[[], object]) -> None:
            started.append(call)

    set_up(Reactor())
    assert frozen == []
    for call in started:
        call()
    assert frozen == [True]


def test_without_its_libraries_a_second_tier_is_no_configuration(
    system: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    system.write_text('[storage]\nurl = "s3://bucket"\n')
    assert options()["loaded"].storage is not None
    monkeypatch.setattr(importlib.util, "find_spec", {"obstore": None}.__getitem__)
    assert mistake() == f"{system}: [storage] needs what is not installed: pip install 'crproxy[fleet]'"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help_says_of_each_option_what_the_table_says(option: Option) -> None:
    assert " ".join((Options().docs[option.name] or "").split()) == option.help
