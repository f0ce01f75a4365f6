"""What a token is good for.

The distribution project's token specification ("Requesting a Token", "Token Scope Documentation").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["PULL", "Scope", "parse_scopes", "pull_of"]

PULL = "pull"
_REPOSITORY = "repository"
# "resourcetype [ '(' resourceclass ')' ]"; the name may hold colons, of a registry's port, the actions none. It is of
# the characters of RFC 6749, 3.3, and no image's name is longer: a token that holds sixteen must fit a header's line.
_SCOPE = re.compile(r"([a-z]+)(?:\([a-z]+\))?:([!#-\[\]-~]{1,300}):([a-z,*]*)")
# A pull asks for one, a mount for two.
_MOST = 16


@dataclass(frozen=True, slots=True)
class Scope:
    """A repository that may be pulled from, named as the client names it in its paths."""

    name: str

    def __str__(self) -> str:
        return f"{_REPOSITORY}:{self.name}:{PULL}"

    def access(self) -> dict[str, object]:
        """Return what stands for it in a token's ``access`` claim."""
        return {"type": _REPOSITORY, "name": self.name, "actions": [PULL]}


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """Return what is granted of the scopes that a client asks for: repositories, and of the actions there only pull.

    Arguments:
        values: of its ``scope`` parameters, each with any number of scopes, parted by spaces.
    """
    found: dict[Scope, None] = {}
    for text in (one for value in values for one in value.split()):
        match = _SCOPE.fullmatch(text)
        if match is not None and match[1] == _REPOSITORY and {PULL, "*"} & set(match[3].split(",")):
            found[Scope(match[2])] = None
    return tuple(found)[:_MOST]


def pull_of(access: object) -> frozenset[str]:
    """Return the names of the repositories that an ``access`` claim lets its bearer pull from."""
    entries = access if isinstance(access, list) else []
    return frozenset(
        entry["name"]
        for entry in entries
        if isinstance(entry, dict)
        and entry.get("type") == _REPOSITORY
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("actions"), list)
        and PULL in entry["actions"]
    )
