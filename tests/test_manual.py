"""The manual page: of every command and option, and as those who print it want it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from crproxy.admin.command import main
from crproxy.tap import Options
from tests import manual
from tests.parts.command_lines import all_commands
from tests.parts.process import clean_environment
from tests.parts.program import Program
from tests.parts.requirements import need

ROOT = Path(__file__).parent.parent


def test_it_is_what_the_commands_make_of_it() -> None:
    assert manual.MANUAL.read_text("utf-8") == manual.manual(), "run: make man"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What somebody sees who reads it."""
    man = Program([need("man")], tmp_path_factory.mktemp("man"), MANWIDTH="200", MANPAGER="cat")
    return re.sub(".\b", "", man.run("-l", str(manual.MANUAL)).decode())


def section_of(shown: str, path: tuple[str, ...]) -> str:
    """What is said under a command's heading."""
    found = re.search(rf"^ {{3}}crproxy {' '.join(path)}( .*)?\n((?: {{4,}}.*\n|\n)*)", shown, re.MULTILINE)
    assert found is not None, path
    return found[0]


@pytest.mark.integration
class TestShown:
    @pytest.mark.parametrize("path", [path for path in all_commands() if path], ids=" ".join)
    def test_every_command_is_there_with_every_option(self, shown: str, path: tuple[str, ...]) -> None:
        command: click.Command = main
        for name in path:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        section = section_of(shown, path)
        said = {word for line in section.splitlines() for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", line)}
        assert {option for one in command.params for option in one.opts if option.startswith("-")} <= said
        assert "Example" in section

    def test_every_option_of_the_daemon_is_there(self, shown: str) -> None:
        section = shown.partition("\nOPTIONS OF THE DAEMON\n")[2].partition("\nEXIT STATUS\n")[0]
        said = set(re.findall(r"^ {7}(?:-\w, )?--([a-z-]+)", section, re.MULTILINE))
        assert said == {option.rstrip("=") for option in Options().longOpt}
        assert Options.examples[1] in section

    def test_every_status_is_there(self, shown: str) -> None:
        section = shown.partition("\nEXIT STATUS\n")[2].partition("\nENVIRONMENT\n")[0]
        assert set(re.findall(r"^ {7}(\d) ", section, re.MULTILINE)) == {"0", "1", "2", "3"}

    def test_what_is_typed_can_be_copied(self, shown: str) -> None:
        """A hyphen is one, and so is a quote."""
        assert "| tr ' ' '\\n' | crproxy warm --file -\n" in shown


@pytest.mark.integration
@pytest.mark.parametrize(
    "words",
    [
        ["groff", "-man", "-wall", "-Tutf8", "-z"],
        ["mandoc", "-T", "lint", "-W", "style"],
    ],
    ids=["groff", "mandoc"],
)
def test_nobody_who_sets_it_has_a_word_to_say(words: list[str], tmp_path: Path) -> None:
    command = [need(words[0]), *words[1:], str(manual.MANUAL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
