"""The outcome of a call, be it a result or an error: for tests that let both happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["outcome"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Error = TypeVar("Error", bound=Exception)


def outcome(
    kind: type[Error], call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result | Error:
    """What `call` returns, or the error of this `kind` that it raises; any other error passes."""
    try:
        return call(*args, **kwargs)
    except kind as error:
        return error
