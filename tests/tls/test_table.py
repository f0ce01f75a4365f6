from __future__ import annotations

import pytest

from crproxy.tls.certificates import Certified, self_signed
from crproxy.tls.table import Table

NAMES = ("cr.test", "quay.cr.test", "hub.example.net")
ISSUED, FILE, WILD = (self_signed(name, 0) for name in ("issued", "file", "wild"))


@pytest.fixture
def made() -> list[str]:
    """The names for which something had to stand in."""
    return []


@pytest.fixture
def table(made: list[str]) -> Table:
    def stand_in(name: str) -> Certified:
        made.append(name)
        return self_signed(name, 0)

    return Table(NAMES, stand_in)


def test_something_stands_in_until_there_is_a_certificate(table: Table, made: list[str]) -> None:
    first = table.find("quay.cr.test")
    assert first is not None
    assert first.names == {"quay.cr.test"}
    assert table.find("quay.cr.test") is first
    assert table.certificate("quay.cr.test") is None
    table.issue("quay.cr.test", ISSUED)
    assert table.find("quay.cr.test") is table.certificate("quay.cr.test") is ISSUED
    assert made == ["quay.cr.test"]


@pytest.mark.security("S22")
@pytest.mark.parametrize("name", ["nope.cr.test", "example.com", "", "a.quay.cr.test", "*.cr.test"])
def test_nobody_elses_name_has_one(table: Table, made: list[str], name: str) -> None:
    table.place({"*.cr.test": WILD})
    assert table.find(name) is None
    assert made == []


def test_who_names_nobody_means_the_domain(table: Table) -> None:
    table.issue("cr.test", ISSUED)
    assert table.find(None) is ISSUED


def test_without_any_name_there_is_nothing() -> None:
    assert Table((), lambda name: self_signed(name, 0)).find(None) is None


def test_files_win_and_a_wildcard_is_for_one_label(table: Table) -> None:
    for name in NAMES:
        table.issue(name, ISSUED)
    table.place({"*.cr.test": WILD, "hub.example.net": FILE})
    assert [table.find(name) for name in NAMES] == [ISSUED, WILD, FILE]
    assert [table.has_file(name) for name in NAMES] == [False, True, True]


def test_an_exact_file_wins_over_a_wildcard(table: Table) -> None:
    table.place({"*.cr.test": WILD, "quay.cr.test": FILE})
    assert table.find("quay.cr.test") is FILE


def test_a_file_that_is_gone_gives_way_to_what_was_issued(table: Table) -> None:
    table.issue("quay.cr.test", ISSUED)
    table.place({"quay.cr.test": FILE})
    table.place({})
    assert table.find("quay.cr.test") is ISSUED


def test_names_come_and_go(table: Table) -> None:
    table.issue("quay.cr.test", ISSUED)
    table.rename(("cr.test", "new.cr.test"))
    assert table.find("quay.cr.test") is None
    assert table.find("new.cr.test") is not None
    table.rename(NAMES)
    assert table.find("quay.cr.test") is ISSUED
    assert table.names == NAMES
