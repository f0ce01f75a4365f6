from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from crproxy.admin.command import main
from crproxy.admin.configuration_fault import fault_in
from crproxy.config import ConfigError, OptionError


def test_a_mistake_in_the_file_has_its_name_and_one_in_an_option_has_not() -> None:
    told = fault_in("/etc/x.toml", ConfigError("line 1: no"), "look")
    assert (told.message, told.exit_code) == ("/etc/x.toml: line 1: no. Correct it, or look", 2)
    assert fault_in("/etc/x.toml", OptionError("--domain: no"), "look").message == "--domain: no. Correct it, or look"


@pytest.mark.parametrize("words", [["setup", "docker"], ["setup", "docker", "--proxy"], ["rewrite", "-"]])
def test_each_command_tells_in_one_line_which_file_is_wrong(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "crproxy.toml"
    file.write_text("domian = 1\n")
    monkeypatch.setenv("CRPROXY_CONFIG", str(file))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: {file}: line 1: domian: there is no such key; did you mean domain?")
