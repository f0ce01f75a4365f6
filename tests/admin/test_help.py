"""What every command says of itself, and the status that it exits with."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from twisted.python.usage import UsageError

from crproxy.admin.command import main
from crproxy.tap import Options
from tests.parts.command_lines import all_commands, examples_of, help_of, read

COMMANDS = list(all_commands())
# Those that speak with the daemon, and what they take to do so.
ASKING = {
    ("alias", "list"): [],
    ("alias", "add"): ["corp", "registry.corp.example"],
    ("alias", "remove"): ["corp"],
    ("ca", "show"): [],
    ("ca", "export"): [],
    ("ca", "renew"): [],
    ("cache", "gc"): [],
    ("cache", "list"): [],
    ("cache", "push"): [],
    ("cache", "pin"): ["nginx"],
    ("cache", "remove"): ["nginx"],
    ("cache", "stats"): [],
    ("cache", "unpin"): ["nginx"],
    ("cache", "verify"): [],
    ("fleet", "status"): [],
    ("rules", "list"): [],
    ("rules", "test"): ["nginx"],
    ("tag", "history"): ["nginx"],
    ("tag", "pin"): ["nginx"],
    ("tag", "pins"): [],
    ("tag", "rollback"): ["nginx"],
    ("tag", "unpin"): ["nginx"],
    ("warm",): ["nginx"],
}
ROOT = Path(__file__).parent.parent.parent
OPERATIONS = ROOT / "docs" / "operations.md"
# Where each row of the table of statuses is shown.
SHOWN = {
    (1, "all"): ("tests/admin/test_client.py", {"test_an_alias_at_an_older_daemon_is_told_to_be_lost"}),
    (1, "alias add"): ("tests/integration/test_operator.py", {"test_what_the_command_line_says_wins_and_is_told"}),
    (1, "alias remove"): ("tests/integration/test_operator.py", {"test_what_the_command_line_says_wins_and_is_told"}),
    (1, "cache push"): ("tests/integration/test_push.py", {"test_a_store_that_cannot_be_written_is_told"}),
    (1, "cache verify"): ("tests/admin/test_command.py", {"test_what_is_damaged_is_named_and_dropped"}),
    (1, "doctor"): ("tests/admin/doctor/test_findings.py", {"test_the_exit_status"}),
    (1, "fleet status"): ("tests/integration/test_fleet.py", {"test_the_operator_sees_who_is_there"}),
    (1, "warm"): ("tests/integration/test_warming.py", {"test_a_list_with_a_missing_image_in_the_middle"}),
    (2, "all"): ("tests/admin/test_help.py", {"test_what_it_does_not_know_is_a_wrong_command_line"}),
    (2, "config check"): ("tests/admin/test_config.py", {"test_all_that_is_wrong_is_told"}),
    (2, "config show"): ("tests/admin/test_config.py", {"test_what_cannot_be_used_is_not_shown"}),
    (2, "doctor --strict"): ("tests/admin/doctor/test_findings.py", {"test_the_exit_status"}),
    (3, "all that ask the daemon"): ("tests/admin/test_help.py", {"test_without_a_daemon_it_exits_with_3"}),
}
# They print what is no data for programs, or have no end.
WITHOUT_JSON = {
    ("ca", "export"),
    ("completion",),
    ("config", "schema"),
    ("rewrite",),
    ("serve",),
    ("user", "add"),
    ("user", "remove"),
}
# They do without it: the setup asks it for one thing, with --proxy alone, and the others tell it what they have done.
WITHOUT_A_DAEMON = {("setup",), ("user", "add"), ("user", "list"), ("user", "remove")}


def command(path: tuple[str, ...]) -> click.Command:
    found: click.Command = main
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def options(path: tuple[str, ...]) -> set[str]:
    return {option for parameter in command(path).params for option in parameter.opts if option.startswith("--")}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
class TestEach:
    def test_its_help_has_examples_of_it_that_can_be_typed(self, path: tuple[str, ...]) -> None:
        examples = examples_of(path)
        assert examples
        for line in examples:
            assert read(line)[: len(path)] == path, line

    def test_its_help_fits_a_terminal(self, path: tuple[str, ...]) -> None:
        examples = set(examples_of(path))
        assert [line for line in help_of(path).splitlines() if len(line) > 80 and line.strip() not in examples] == []

    def test_it_says_in_a_line_what_it_does(self, path: tuple[str, ...]) -> None:
        short = command(path).get_short_help_str(70)
        assert short[0].isupper()
        assert not short.endswith("...")

    def test_what_it_does_not_know_is_a_wrong_command_line(self, path: tuple[str, ...]) -> None:
        if path == ("serve",):
            with pytest.raises(SystemExit, match="2"):
                Options().parseOptions(["--no-such-option"])
            return
        assert CliRunner().invoke(main, [*path, "--no-such-option"]).exit_code == 2


def test_what_prints_data_prints_it_for_programs() -> None:
    ends = [path for path in COMMANDS if not isinstance(command(path), click.Group)]
    assert {path for path in ends if "--json" not in options(path)} == WITHOUT_JSON


def test_those_that_ask_the_daemon_are_those_that_are_told_where_it_is() -> None:
    assert {path for path in COMMANDS if "--socket" in options(path)} == {*ASKING, *WITHOUT_A_DAEMON}


@pytest.mark.parametrize("path", ASKING, ids=" ".join)
def test_without_a_daemon_it_exits_with_3(path: tuple[str, ...], tmp_path: Path) -> None:
    words = [*path, *ASKING[path], "--socket", str(tmp_path / "admin.sock")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 3
    assert "no daemon answers" in result.stderr


def test_the_setup_that_asks_the_daemon_exits_with_3_without_it(tmp_path: Path) -> None:
    words = ["setup", "docker", "--proxy", "--host", "http://x:3128", "--socket", str(tmp_path / "admin.sock")]
    assert CliRunner().invoke(main, words).exit_code == 3


def documented_statuses() -> set[tuple[int, str]]:
    """The rows of the table of statuses: status and command, with its option."""
    rows = re.findall(r"^\| ([123]) \| (.+?) \| .+ \|$", OPERATIONS.read_text("utf-8"), re.MULTILINE)
    return {(int(status), command) for status, of in rows for command in re.findall(r"`(.+?)`", of) or [of]}


def test_the_table_of_statuses_has_what_each_command_says_of_its_own() -> None:
    said = {
        (int(status), " ".join(path))
        for path in COMMANDS
        if path
        for status in re.findall(r"Exits\s+with\s+([123])\b", help_of(path))
    }
    general = {(1, "all"), (2, "all"), (3, "all that ask the daemon")}
    assert documented_statuses() == said | general | {(2, "doctor --strict")}


def test_the_tests_that_show_the_statuses_are_there() -> None:
    assert SHOWN.keys() == documented_statuses()
    for file, tests in SHOWN.values():
        assert tests <= set(re.findall(r"def (test_\w+)\(", (ROOT / file).read_text())), file


@pytest.mark.parametrize("name", sorted({option.rstrip("=") for option in Options().longOpt} - {"help", "version"}))
def test_the_doctor_may_be_told_all_that_the_daemon_was_told(name: str) -> None:
    assert f"--{name}" in options(("doctor",))


@pytest.mark.parametrize(
    "line",
    [
        "crproxy cache lsit",
        "crproxy cache list --sort",
        "crproxy cache list --sorted size",
        "crproxy alias add a b c",
        "twistd -n crproxy --no-such-option",
        "crproxy serve --workers",
        "sudo crproxy doctor --nothing",
    ],
)
def test_a_line_that_cannot_be_typed_is_recognised(line: str) -> None:
    with pytest.raises((click.UsageError, UsageError)):
        read(line)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("crproxy", ()),
        ("crproxy --version", ()),
        ("/opt/crproxy/bin/crproxy cache list 'a/*' --json", ("cache", "list")),
        ("cat list | crproxy warm --file - > log", ("warm",)),
        ("twistd -n crproxy --domain cr.example.com", ("serve",)),
    ],
)
def test_a_line_is_read(line: str, path: tuple[str, ...]) -> None:
    assert read(line) == path
