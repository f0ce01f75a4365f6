"""The table of broken set-ups: what is quoted, what is a gap, and where it stands on the page."""

from __future__ import annotations

import pytest

from tests.broken_setups import PAGE, Advised, Words, row_of, rows_of, with_rows

PLACES = {"/tmp/x/crproxy.toml": "/etc/crproxy/crproxy.toml", "/tmp/x": "/etc"}


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("/tmp/x/crproxy.toml: line 3: no", "/etc/crproxy/crproxy.toml: line 3: no"),
        ("nginx (process 4711) has it, by nginx/1.22.1", "nginx (process …) has it, by nginx/…"),
        ("ended on 2026-04-01 00:00 UTC", "ended on … UTC"),
        ("ended on 2026-04-01: replace it", "ended on …: replace it"),
        ("read on 2026-04-01 at 00:00:01 UTC", "read on … UTC"),
        ("answers in 0.12 s", "answers in … s"),
        ("the disk is full | or so", r"the disk is full \| or so"),
        ("24 h ahead, by quay.io: certificates and tokens", "24 h ahead, by …: certificates and tokens"),
    ],
)
def test_what_differs_from_run_to_run_is_a_gap(said: str, quoted: str) -> None:
    assert Words(None, [said], []).row("x", PLACES) == f"| x | `{quoted}` |  |"


def test_how_it_ended_is_told() -> None:
    words = Words(2, ["no"], [Advised("disk: is full", "Make room")])
    assert words.row("a full disk", {}) == "| a full disk | `no`<br>exit status 2 | `disk: is full`<br>→ `Make room` |"
    assert Words(None, [], []).row("x", {}) == "| x | nothing: it runs |  |"


def test_the_table_is_written_where_it_belongs() -> None:
    page = PAGE.read_text("utf-8")
    row = Words(None, [], [Advised("disk: is full", "Make room")]).row("a full disk", {})
    written = with_rows(page, {"a full disk": row})
    assert rows_of(written) == {"a full disk": row}
    assert row_of(written, "nothing") == ""
    assert with_rows(written, rows_of(page)) == page
    with pytest.raises(ValueError, match="has no place for the table"):
        rows_of("")
