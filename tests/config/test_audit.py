from __future__ import annotations

import pytest

from crproxy.config import Audit
from crproxy.policy.audit import Format
from tests.configs import loaded, mistake


@pytest.mark.parametrize(
    ("text", "audit"),
    [
        ("", Audit(None)),
        ('[audit]\nfile = "/var/log/a"', Audit("/var/log/a", Format.JSON)),
        ('[audit]\nfile = "/var/log/a"\nformat = "json"', Audit("/var/log/a", Format.JSON)),
        ('[audit]\nfile = "/var/log/a"\nformat = "combined"', Audit("/var/log/a", Format.COMBINED)),
    ],
)
def test_lines_go_where_it_is_written(text: str, audit: Audit) -> None:
    assert loaded(text).audit == audit


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[audit]\nfile = "/a"\nformat = "xml"', "line 3: audit.format: 'xml' is neither json nor combined"),
        ('[audit]\nformat = "json"', "line 2: audit.format: it goes with a file"),
        ('[audit]\nfile = ""', "line 2: audit.file: this is no file"),
        ('[audit]\nfil = "/a"', "line 2: audit.fil: there is no such key; did you mean file?"),
    ],
)
def test_a_mistake_is_told(text: str, what: str) -> None:
    assert mistake(text).startswith(what)
