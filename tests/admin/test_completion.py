from __future__ import annotations

import pytest
from click.testing import CliRunner

from crproxy.admin.command import main


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
