"""Options by environment variable: CRPROXY_CACHE_SIZE for ``--cache-size``, which wins over it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .options import OPTIONS, Option, Options

__all__ = ["CONFIG_VARIABLE", "misspelled", "variable_of", "with_variables"]

_PREFIX = "CRPROXY_"
# What the crproxy command is told beside the daemon's options: where the admin socket is.
_OTHERS = ("ADMIN",)
# Less alike, a variable is somebody else's: Kubernetes sets CRPROXY_PORT and others for a service of that name.
_ALIKE = 0.75


def variable_of(option: Option) -> str:
    """Return the variable that stands for ``option``."""
    return _PREFIX + option.name.upper().replace("-", "_")


CONFIG_VARIABLE = variable_of(OPTIONS[0])


def with_variables(options: Options, environment: Mapping[str, str]) -> Options:
    """Return ``options`` with what the environment says where they say nothing.

    Several values in one variable have white space between them. An empty variable says what an empty option does;
    where that is nothing, it is as if it were not there.
    """
    given = {option.name for option, _ in options.said()}
    found = {
        option: value
        for option in OPTIONS
        if option.key and option.name not in given
        if (value := environment.get(variable_of(option))) is not None and (value or option.empty)
    }
    values: dict[str, Any] = {option.field: _values(option, value) for option, value in found.items()}
    sources = {option.name: variable_of(option) for option in found}
    return replace(options, **values, sources={**options.sources, **sources})


def misspelled(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that look as if they were meant to stand for an option, and the one that does."""
    known = [*(variable_of(option).removeprefix(_PREFIX) for option in OPTIONS), *_OTHERS]
    for name in environment:
        meant = name.removeprefix(_PREFIX)
        if meant not in (name, *known):
            near = difflib.get_close_matches(meant, known, 1, _ALIKE)
            if near:
                yield name, _PREFIX + near[0]


def _values(option: Option, value: str) -> str | tuple[str, ...]:
    if not option.repeated:
        return value
    # An empty one is said, and listens nowhere.
    return tuple(value.split()) or ("",)
