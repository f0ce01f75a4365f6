"""The manual pages: of every command, option and key, and as those who print them want them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from crproxy.admin.command import main
from crproxy.admin.configuration_file import parse_config
from crproxy.config.key import EACH, ITEM
from crproxy.config.keys import KEYS, tables
from crproxy.config.options import OPTIONS, Options
from crproxy.config.variables import variable_of
from crproxy.tap import Options as DaemonOptions
from tests import configuration_manual, manual
from tests.parts.command_lines import all_commands
from tests.parts.process import clean_environment
from tests.parts.program import Program
from tests.parts.requirements import need

ROOT = Path(__file__).parent.parent


PAGES = pytest.mark.parametrize("page", manual.PAGES, ids=lambda page: page.name)


@PAGES
def test_each_is_what_is_made_of_commands_and_keys(page: Path) -> None:
    assert page.read_text("utf-8") == manual.PAGES[page](), "run: make man"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What somebody sees who reads the commands'."""
    return read(manual.MANUAL, tmp_path_factory.mktemp("man"))


@pytest.fixture(scope="module")
def shown_keys(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What somebody sees who reads the configuration's."""
    return read(configuration_manual.PAGE, tmp_path_factory.mktemp("man"))


def read(page: Path, home: Path) -> str:
    man = Program([need("man")], home, MANWIDTH="2000", MANPAGER="cat")
    return re.sub(".\b", "", man.run("-l", str(page)).decode())


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
        assert said == {option.rstrip("=") for option in DaemonOptions().longOpt}
        assert DaemonOptions.examples[1] in section

    def test_every_status_is_there(self, shown: str) -> None:
        section = shown.partition("\nEXIT STATUS\n")[2].partition("\nENVIRONMENT\n")[0]
        assert set(re.findall(r"^ {7}(\d) ", section, re.MULTILINE)) == {"0", "1", "2", "3"}

    def test_what_is_typed_can_be_copied(self, shown: str) -> None:
        """A hyphen is one, and so is a quote."""
        assert "| tr ' ' '\\n' | crproxy warm --file -\n" in shown


@pytest.mark.integration
class TestKeys:
    @pytest.mark.parametrize("table", tables())
    def test_every_key_is_below_its_table_with_what_counts_without_it(self, shown_keys: str, table: str) -> None:
        named = table.replace(EACH, '"REGISTRY"')
        heading = f"[[{named.removesuffix(f'.{ITEM}')}]]" if ITEM in table else f"[{named}]"
        heading = heading if table else "AT THE TOP"
        section = shown_keys.partition(f"\n{heading}\n")[2]
        section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
        records = re.split(r"^ {7}(?=[a-z_]+(?:\s|$))", section, flags=re.MULTILINE)[1:]
        told = {record.split()[0]: " ".join(record.split()[1:]) for record in records}
        wanted = [key for key in KEYS if key.table == table]
        assert list(told) == [key.name for key in wanted]
        for key in wanted:
            assert told[key.name].endswith(f"Without it: {key.plain_default}.")
            assert all(choice in told[key.name] for choice in key.choices)

    def test_every_variable_is_there(self, shown_keys: str) -> None:
        section = shown_keys.partition("\nENVIRONMENT\n")[2].partition("\nEXAMPLES\n")[0]
        assert re.findall(r"^ {7}(CRPROXY_\w+)", section, re.MULTILINE) == [variable_of(one) for one in OPTIONS]

    def test_the_example_is_a_configuration(self, shown_keys: str) -> None:
        section = shown_keys.partition("\nEXAMPLES\n")[2].partition("\nSEE ALSO\n")[0]
        text = "\n".join(line.strip() for line in section.splitlines())
        config = parse_config(text.replace("/etc/crproxy/docker.io.password", __file__), Options())
        assert config.names.domain == "cr.example.com"

    def test_nothing_is_marked_up_or_elsewhere(self, shown_keys: str) -> None:
        assert not re.search(r"`|\]\(|see below", shown_keys)


@pytest.mark.integration
@PAGES
@pytest.mark.parametrize(
    "words",
    [
        ["groff", "-man", "-wall", "-Tutf8", "-z"],
        ["mandoc", "-T", "lint", "-W", "style"],
    ],
    ids=["groff", "mandoc"],
)
def test_nobody_who_sets_it_has_a_word_to_say(words: list[str], page: Path, tmp_path: Path) -> None:
    command = [need(words[0]), *words[1:], str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
