"""Timers run by the reactor's clock, which nobody sets; what needs the date is handed it as ``now``."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.epollreactor import EPollReactor

import crproxy
from crproxy.service.event_loop import set_up

HOUSE = Path(crproxy.__file__).parent
# What reads the date itself: where the reactor is known, and programs of their own.
READ_THE_DATE = {
    "admin/cache.py",
    "admin/config_reading.py",
    "admin/doctor/environment.py",
    "admin/fleet.py",
    "admin/rules.py",
    "admin/tag.py",
    "store/opening.py",
    "tap.py",
    "workers/process.py",
}


@pytest.mark.parametrize("monotonic", [True, False])
def test_a_clock_that_is_set_back_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, monotonic: bool) -> None:
    back = [0.0]
    monkeypatch.setattr(EPollReactor, "seconds", staticmethod(lambda: time.time() - back[0]))
    reactor = EPollReactor()
    if monotonic:
        monkeypatch.setattr("gc.disable", lambda: None)
        set_up(reactor)
    called: list[bool] = []
    reactor.callLater(0.01, called.append, True)
    back[0] = 3600
    deadline = time.monotonic() + (20 if monotonic else 0.5)
    while not called and time.monotonic() < deadline:
        reactor.iterate(0.01)
    assert called == [True] * monotonic


def trees() -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(HOUSE.rglob("*.py")):
        yield file.relative_to(HOUSE).as_posix(), ast.parse(file.read_text())


def takers() -> set[str]:
    """What may be handed ``now``: functions, and classes that are made with it."""
    found = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found |= {node.name for made in node.body if _takes_now(made, "__init__")}
            elif _takes_now(node) and node.name != "__init__":  # type: ignore[attr-defined]  # a function has one
                found.add(node.name)  # type: ignore[attr-defined]
    return found


def _takes_now(node: ast.AST, name: str | None = None) -> bool:
    if not isinstance(node, ast.FunctionDef) or (name is not None and node.name != name):
        return False
    return "now" in {argument.arg for argument in node.args.kwonlyargs}


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def test_whoever_may_be_handed_the_date_is() -> None:
    found = takers()
    assert {"Signer", "Manifests", "Certificates", "make_service", "make_pullthrough"} <= found
    # A classmethod, whose name says nothing, and a name that others have, too.
    found -= {"make", "Login"}
    forgotten = [
        f"{file}:{node.lineno} {name_of(node.func)}"
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name_of(node.func) in found
        and "now" not in {keyword.arg for keyword in node.keywords}
    ]
    assert forgotten == []


def test_the_date_is_read_in_few_places() -> None:
    reading = {
        file
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "time" and name_of(node.value) == "time"
    }
    assert reading == READ_THE_DATE


def test_the_reactors_clock_is_nobodys_date() -> None:
    """Handed on as a function it can be nothing else; it is the default of those that tests make."""
    handed_on = [
        (file, node.lineno)
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if ast.unparse(argument).endswith(("reactor.seconds", "clock.seconds")) and " or " not in ast.unparse(argument)
    ]
    assert handed_on == []
