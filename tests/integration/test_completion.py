"""Completion in real shells, by the files that a system installs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.parts.process import clean_environment
from tests.parts.program import Program
from tests.parts.requirements import need
from tests.parts.terminal import Terminal

pytestmark = pytest.mark.integration

SHARE = Path(__file__).parent.parent.parent / "share"
COMPINIT = "autoload -U compinit; compinit -u -D"
# As docs/operations.md has it, and by the file that is installed.
EVAL = 'eval "$(crproxy completion {})"'
PREPARED = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"], f"source {SHARE}/bash-completion/completions/crproxy"),
    "bash, eval": ("bash", ["--norc", "--noprofile", "-i"], EVAL.format("bash")),
    "zsh": ("zsh", ["-f", "-i"], f"fpath=({SHARE}/zsh/site-functions $fpath); {COMPINIT}"),
    "zsh, eval": ("zsh", ["-f", "-i"], f"{COMPINIT}; {EVAL.format('zsh')}"),
}
# What is typed, and what a tabulator makes of it.
CASES = [
    ("crproxy cac", "he "),
    ("crproxy cache sta", "ts "),
    ("crproxy cache list --rev", "erse "),
    ("crproxy setup cont", "ainerd "),
    ("crproxy serve --log-l", "evel "),
    ("crproxy serve --log-level deb", "ug "),
    ("crproxy serve --domain cr.test --acme-dir", "ectory "),
]
# Places in the file system, of which a file and a directory are there.
PLACES = [("crproxy serve --config ./crp", "roxy.toml "), ("crproxy serve --certs ./cer", "ts/")]


def environment(home: Path, **more: str) -> dict[str, str]:
    """With the command of this tree first, as an installation has it."""
    found = clean_environment(home, TERM="xterm", PS1="ready: ", **more)
    found["PATH"] = f"{Path(sys.executable).parent}:{found['PATH']}"
    return found


@pytest.mark.parametrize(("typed", "completed"), CASES)
@pytest.mark.parametrize("prepared", PREPARED)
def test_a_tabulator_completes(tmp_path: Path, prepared: str, typed: str, completed: str) -> None:
    assert_completed(tmp_path, prepared, typed, completed)


@pytest.mark.parametrize(("typed", "completed"), [*PLACES, ("crproxy serve --log-format=js", "on")])
@pytest.mark.parametrize("prepared", PREPARED)
def test_so_it_does_with_files_and_behind_an_equals_sign(
    tmp_path: Path, prepared: str, typed: str, completed: str
) -> None:
    (tmp_path / "crproxy.toml").touch()
    (tmp_path / "certs").mkdir()
    assert_completed(tmp_path, prepared, typed, completed)


def assert_completed(tmp_path: Path, prepared: str, typed: str, completed: str) -> None:
    shell, words, line = PREPARED[prepared]
    with Terminal([need(shell), *words], environment(tmp_path)) as terminal:
        terminal.wait_for("ready: ")
        terminal.type(f"cd {tmp_path}; {line}; echo s''ourced\n")
        terminal.wait_for("sourced")
        terminal.wait_for("ready: ")
        terminal.type(f"{typed}\t")
        terminal.wait_for(f"{typed}{completed}")


@pytest.mark.parametrize(("typed", "completed"), [*CASES, ("crproxy serve --log-format=js", "on")])
def test_fish_completes(tmp_path: Path, typed: str, completed: str) -> None:
    """fish finds the file by itself, where it looks for those of programs."""
    places = environment(tmp_path, XDG_DATA_DIRS=f"{SHARE}:/usr/share")
    fish = Program([need("fish")], tmp_path, **places)
    printed = fish.run("-c", f"complete -C '{typed}'").decode().splitlines()
    assert printed
    word = typed.rpartition(" ")[2] + completed.strip()
    assert [each.partition("\t")[0] for each in printed] == [word]


def test_fish_completes_by_what_the_command_prints(tmp_path: Path) -> None:
    fish = Program([need("fish")], tmp_path, **environment(tmp_path))
    printed = fish.run("-c", f"{EVAL.format('fish')}; complete -C 'crproxy cache sta'").decode()
    assert printed.startswith("stats\t")


def test_the_page_of_operations_says_so() -> None:
    page = (SHARE.parent / "docs" / "operations.md").read_text("utf-8")
    assert f"`{EVAL.format('bash')}` (or `zsh`, `fish`)" in page


def test_fish_says_what_a_command_is_for(tmp_path: Path) -> None:
    places = environment(tmp_path, XDG_DATA_DIRS=f"{SHARE}:/usr/share")
    fish = Program([need("fish")], tmp_path, **places)
    printed = fish.run("-c", "complete -C 'crproxy doc'").decode()
    assert printed == "doctor\tLook for what is wrong, and say what to do.\n"
