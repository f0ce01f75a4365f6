from __future__ import annotations

import pytest
from click.testing import CliRunner

from crproxy.admin.command import main
from crproxy.admin.configuration_file import parse_config
from crproxy.config.options import OPTIONS, Option, Options


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_what_completes_the_command(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell], prog_name="crproxy")
    assert result.exit_code == 0
    assert f"_CRPROXY_COMPLETE={shell}_complete" in result.output


@pytest.mark.parametrize(
    ("noun", "commands"),
    [
        ("cache", {"gc", "list", "pin", "push", "remove", "stats", "unpin", "verify"}),
        ("rules", {"list", "test"}),
        ("tag", {"history", "pin", "pins", "rollback", "unpin"}),
        ("user", {"add", "list", "remove"}),
    ],
)
def test_the_commands_are_completed(noun: str, commands: set[str]) -> None:
    environment = {"_CRPROXY_COMPLETE": "bash_complete", "COMP_WORDS": f"crproxy {noun} ", "COMP_CWORD": "2"}
    result = CliRunner().invoke(main, [], prog_name="crproxy", env=environment)
    words = {line.partition(",")[2] for line in result.output.splitlines()}
    assert words == commands


def completed(typed: str, shell: str = "bash") -> list[str]:
    """What a shell is offered for the last word of what is typed, each with its kind in front."""
    words = typed.split(" ")
    environment = {"_CRPROXY_COMPLETE": f"{shell}_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        environment["COMP_CWORD"] = words[-1]
    result = CliRunner().invoke(main, [], prog_name="crproxy", env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return [line for line in result.output.splitlines() if line]


def test_all_options_of_the_daemon_are_offered() -> None:
    assert {line.partition(",")[2] for line in completed("crproxy serve --")} == {
        *(f"--{option.name}" for option in OPTIONS),
        "--help",
    }


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_is_offered_again_only_where_it_may_be_repeated(option: Option) -> None:
    offered = completed(f"crproxy serve --{option.name} x --{option.name}")
    assert (f"plain,--{option.name}" in offered) is option.repeated


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_words_that_it_takes_are_offered(option: Option) -> None:
    kinds = ["file,"] if option.is_file else ["dir,"] if option.is_directory else []
    assert completed(f"crproxy serve --{option.name} ") == kinds + [f"plain,{word}" for word in option.words]


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.words], ids=lambda option: option.name)
def test_what_is_offered_is_taken(option: Option) -> None:
    for word in option.words:
        assert parse_config("", Options(**{option.field: word}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shell", "typed", "offered"),
    [
        ("zsh", "crproxy serve --log-level=de", ["plain", "--log-level=debug", "_"]),
        ("fish", "crproxy serve --log-level=de", ["plain,--log-level=debug"]),
        ("zsh", "crproxy cache list --sort=si", ["plain", "--sort=size", "_"]),
        ("bash", "crproxy serve --log-level = de", ["plain,debug"]),
        ("bash", "crproxy serve -w ", ["plain,auto"]),
    ],
)
def test_a_value_behind_an_equals_sign_is_completed(shell: str, typed: str, offered: list[str]) -> None:
    assert completed(typed, shell) == offered
