"""What the rules are applied with: the history of tags, pins, and the digests that are denied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import Logger

from ..admin.configuration_file import read_text
from ..config import Config
from ..oci.digests import Digest
from ..oci.names import Repository, Tag
from ..policy.minimum_age import TagChange
from ..store.index import Index
from ..store.tag_history import TagHistory
from ..store.tag_pins import TagPins
from .denied_digests import DeniedDigests

__all__ = ["RulesState"]


class RulesState:
    """``history`` has where tags have pointed, ``pins`` what the operator's command has pinned, ``denied`` what is bad.

    Arguments:
        current: returns the configuration that counts now.
        index: keeps history and pins.
        reactor: for its clock.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, current: Callable[[], Config], index: Index, reactor: Any, now: Callable[[], float]) -> None:
        self._current = current
        self.history = TagHistory(index, now)
        self.pins = TagPins(index, now)
        self.history.observers.append(self._tell)
        self.denied = DeniedDigests(current, read_text, reactor)

    def _tell(self, repository: Repository, tag: Tag, before: Digest | None, change: TagChange) -> None:
        self._log.info(
            "{tag} points to {after}, where it pointed to {before} before",
            tag=repository.named(tag),
            after=str(change.digest or "nothing"),
            before=str(before or "nothing"),
        )

    @property
    def are_about_ages(self) -> bool:
        """Whether any rule asks how old something is."""
        return self._current().rules.are_about_ages

    def pin_of(self, repository: Repository, tag: Tag) -> Digest | None:
        """Return by which digest a tag is answered in any case; None where it is not pinned. The file counts first."""
        configured = self._current().pins.get((repository, tag))
        if configured is not None:
            return configured
        pin = self.pins.of(repository, tag)
        return None if pin is None else pin.digest

    def pinned(self) -> Iterator[tuple[Repository, Digest]]:
        """Give what pins refer to, which is to stay in the cache."""
        for (repository, _), digest in self._current().pins.items():
            yield repository, digest
        for pin in self.pins.all():
            yield pin.repository, pin.digest
