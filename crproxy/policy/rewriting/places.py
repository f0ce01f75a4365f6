"""Where a name stands in a text, and why one stays as it is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

__all__ = ["Place", "Reason", "Role"]


class Role(enum.Enum):
    """What a place names."""

    NAME = enum.auto()
    """An image."""
    REGISTRY = enum.auto()
    """A registry, perhaps with the beginning of a path, in front of names that stand elsewhere."""
    PAGE = enum.auto()
    """A web page about an image."""


class Reason(enum.Enum):
    """Why a name stays as it is."""

    OURS = "it leads here already"
    SCRATCH = "scratch is no image"
    STAGE = "it is a stage of this Dockerfile"
    BUILT = "it is what is built here, not pulled"
    SERVICE = "a job knows this service by its name: give it an alias"
    VARIABLE = "a variable without a default decides"
    TEMPLATE = "a template decides"
    NOT_A_NAME = "it is not the name of an image"
    WRITTEN_OTHERWISE = "it is broken over lines, or has escapes in it"
    NO_WAY = "its registry has a port, and no alias here"
    INSIDE = "its registry is at an address that this proxy does not ask"
    REFUSED = "this proxy does not serve it"

    @property
    def is_told(self) -> bool:
        """Whether people have to know: what was no name, or leads here, needs nothing to be done."""
        return self not in (Reason.OURS, Reason.STAGE)


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a text that names something.

    Arguments:
        start, end: of its characters.
        role: what it names.
        is_sure: otherwise it counts only where it is written like nothing but an image: with a registry, a tag or a
            digest.
        reason: why it is to stay as it is, where that is known from what stands around it.
        insert_at: what is new goes here, and the name stays.
        before, behind: what then stands around what is new.
    """

    start: int
    end: int
    role: Role = Role.NAME
    is_sure: bool = True
    reason: Reason | None = None
    insert_at: int | None = None
    before: str = ""
    behind: str = ""

    def moved(self, offset: int) -> Place:
        """Return the same place in a text that has ``offset`` more characters in front."""
        at = None if self.insert_at is None else self.insert_at + offset
        return replace(self, start=self.start + offset, end=self.end + offset, insert_at=at)
