"""Tests on the real reactor: what pytest-twisted does, with types."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

__all__ = ["on_the_reactor", "wait_for"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_the_reactor(test: Callable[Arguments, Coroutine[Deferred[Any], Any, None]]) -> Callable[Arguments, object]:
    """Let `test` be a coroutine, which the reactor runs for."""
    decorated: Callable[Arguments, object] = pytest_twisted.ensureDeferred(test)
    return decorated


def wait_for(deferred: Deferred[Result]) -> Result:
    """Run the reactor until `deferred` has its result; for fixtures."""
    result: Result = pytest_twisted.blockon(deferred)
    return result
