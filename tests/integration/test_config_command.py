"""``crproxy config`` and the daemon agree: what is checked starts, what is not does not, and what is shown counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon
from tests.parts.operator import Operator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

TEXT = """\
domain = "cr.test"

[aliases]
corp = "registry.corp.example"

[upstreams."quay.io"]
username = "me"
password = "sesame"
"""


def test_what_is_checked_and_shown_is_what_runs(tmp_path: Path) -> None:
    with Daemon(tmp_path, TEXT) as daemon:
        operator = Operator.of(daemon, tmp_path).with_variables(CRPROXY_CONFIG=str(daemon.file))
        said = operator.runs("config", "check")
        assert (said.status, said.out, said.err) == (0, f"{daemon.file}: it can be used\n", "")
        shown = {each["key"]: each for each in operator.runs("config", "show", "--json").json()}
        assert shown["domain"] == {
            "key": "domain",
            "value": "cr.test",
            "source": "file",
            "where": f"{daemon.file}:1",
        }
        aliases = {key.split('"')[1]: each["value"] for key, each in shown.items() if key.startswith("aliases.")}
        assert aliases == operator.runs("alias", "list", "--json").json()
        assert "sesame" not in json.dumps(shown)
        # What would not be read again is told before that.
        daemon.file.write_text(f"{TEXT}retires = 1\n[cache]\nsize = 1\n")
        said = operator.runs("config", "check")
        assert (said.status, said.out) == (2, "")
        assert [line.partition(": ")[2].partition(": ")[0] for line in said.err.splitlines()] == ["line 9", "line 11"]
        before = len(daemon.log)
        daemon.reload(daemon.file.read_text())
        refused = daemon.wait_for_log("the configuration was not read again.*: (line 9: .*)", after=before)[1]
        assert refused in said.err


def test_a_terminal_shows_it_and_an_editor_has_its_schema(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    shown = "".join(operator.watches("config", "show"))
    assert "cache.size" in shown
    schema = tmp_path / "crproxy.schema.json"
    schema.write_text(operator.runs("config", "schema").out)
    assert json.loads(schema.read_text())["properties"]["cache"]["properties"]["size"]["default"] == "20G"
