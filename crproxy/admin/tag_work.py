"""What an operator sees and does of tags, whichever way it is asked for: by a command, or on the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.images import Image
from ..oci.names import Repository, Tag
from ..policy.images import parse_image
from ..policy.rollbacks import former
from ..policy.rules import Subject
from ..pullthrough.expected_answers import Expected, ExpectedAnswers
from ..pullthrough.rulings import Outcome
from ..store.entries import View
from ..store.tag_history import Moved, TagHistory
from ..store.tag_pins import TagPin, TagPins
from .documents import Mistake
from .tag_documents import answer_document, change_documents

__all__ = ["MovedTag", "TagWork"]


@dataclass(frozen=True, slots=True)
class MovedTag:
    """A tag that moved, for people.

    Arguments:
        moved: its change.
        expected: what it is answered just now.
        pin: by which digest it is answered in any case; None where it is not pinned.
        is_newest: nothing has happened to it since.
    """

    moved: Moved
    expected: Expected
    pin: Digest | None
    is_newest: bool

    @property
    def held_until(self) -> float | None:
        """Until when it is answered otherwise than upstream does, by its age; None where it is not."""
        ruling = self.expected.ruling
        is_held = self.is_newest and ruling.outcome == Outcome.HELD
        return ruling.judged.until if is_held and ruling.judged is not None else None


class TagWork:
    """Tells the history of tags, and pins them.

    Arguments:
        current: returns the configuration that counts now.
        history: where tags have pointed.
        pins: those that were made here.
        expected: what tags are answered.
        view: returns how the proxy itself sees a repository.
        is_complete: tells whether all of an image is in the cache.
        keep: has what pins refer to stay in the cache. Raises OSError, sqlite3.Error.
        denied: returns the digests that are known to be bad.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        history: TagHistory,
        pins: TagPins,
        expected: ExpectedAnswers,
        view: Callable[[Repository], View],
        is_complete: Callable[[Repository, Digest], Awaitable[bool]],
        keep: Callable[[], Awaitable[None]],
        denied: Callable[[], frozenset[Digest]],
        now: Callable[[], float],
    ) -> None:
        self._current = current
        self._history = history
        self._pins = pins
        self._expected = expected
        self._view = view
        self._is_complete = is_complete
        self._keep = keep
        self._denied = denied
        self._now = now

    def history(self, name: str) -> dict[str, Any]:
        """Return a tag's changes, the latest first, and what it is answered, as JSON has it. Raises RegistryError."""
        repository, tag = self._tag(name)
        changes = self._history.changes(self._view(repository), tag)
        if not changes and self._pin_of(repository, tag) is None:
            raise Mistake(_nothing_known(repository.named(tag)), 404)
        answer = self._answer(repository, tag)
        return {
            "image": repository.named(tag),
            "answer": answer,
            "changes": change_documents(changes, answer["digest"]),
        }

    def recent(self, limit: int) -> list[MovedTag]:
        """Return the tags that moved last, the latest first."""
        found: list[MovedTag] = []
        seen: set[tuple[Repository, Tag]] = set()
        for moved in self._history.recent(limit):
            tag = moved.repository, moved.tag
            found.append(MovedTag(moved, self._expect(*tag), self._pin_of(*tag), tag not in seen))
            seen.add(tag)
        return found

    def pins(self) -> list[dict[str, Any]]:
        """Return all pins by their names, those of the file first that are in both, as JSON has them."""
        configured = self._current().pins
        found = [_pin_document(*tag, digest, None) for tag, digest in configured.items()]
        found += [
            _pin_document(pin.repository, pin.tag, pin.digest, pin.made)
            for pin in self._pins.all()
            if (pin.repository, pin.tag) not in configured
        ]
        return sorted(found, key=lambda pin: str(pin["image"]))

    async def pin(self, name: str, digest: str = "") -> dict[str, Any]:
        """Have a tag answered by a digest, or by what it is answered by now, until it is told otherwise.

        Raises:
            Mistake, RegistryError: nothing has changed.
        """
        repository, tag = self._tag(name, digest)
        self._check_not_configured(repository, tag)
        if digest:
            return await self._pin(repository, tag, Digest.parse(digest))
        found = self._expect(repository, tag)
        ruling = found.ruling
        now = ruling.digest if ruling.outcome != Outcome.NOT_PINNED else found.current
        named = repository.named(tag)
        if now is None and ruling.error is not None:
            raise Mistake(f"{named} is answered by nothing now: {ruling.error.message}. Or name a digest", 409)
        if now is None:
            raise Mistake(_nothing_known(named) + f", or name a digest: crproxy tag pin {named} sha256:...", 404)
        return await self._pin(repository, tag, now)

    async def unpin(self, name: str) -> dict[str, Any]:
        """Have a tag answered by its registry and the rules again. Raises Mistake, RegistryError."""
        repository, tag = self._tag(name)
        self._check_not_configured(repository, tag)
        if not await self._pins.unpin(repository, tag):
            raise Mistake(f"{repository.named(tag)} is not pinned: crproxy tag pins shows what is", 404)
        await self._keep()
        return {"unpinned": repository.named(tag), "answer": self._answer(repository, tag)}

    async def rollback(self, name: str) -> dict[str, Any]:
        """Pin a tag to what it pointed to before. Raises Mistake, RegistryError: nothing has changed."""
        repository, tag = self._tag(name)
        self._check_not_configured(repository, tag)
        changes, named = self._history.changes(self._view(repository), tag), repository.named(tag)
        if not changes:
            raise Mistake(_nothing_known(named), 404)
        current = self._pin_of(repository, tag) or changes[-1].digest
        before = former(changes, current, self._denied())
        if before is None:
            raise Mistake(
                f"nothing is known that {named} pointed to before: crproxy tag history {named} shows all there is, and "
                f"crproxy tag pin {named} sha256:... takes any digest",
                404,
            )
        return {"from": None if current is None else str(current), **await self._pin(repository, tag, before)}

    async def _pin(self, repository: Repository, tag: Tag, digest: Digest) -> dict[str, Any]:
        named = repository.named(tag)
        if digest in self._denied():
            raise Mistake(
                f"{digest} is on the list of digests that are denied: take it out of [access] deny_digests_file first",
                409,
            )
        await self._pins.pin(TagPin(repository, tag, digest, self._now()))
        await self._keep()
        is_here = await self._is_complete(repository, digest)
        return {"pinned": named, "digest": str(digest), "by_digest": repository.named(digest), "complete": is_here}

    def _tag(self, name: str, digest: str = "") -> tuple[Repository, Tag]:
        """Return which tag a name is for. Raises Mistake, RegistryError."""
        image: Image = parse_image(self._current().names, name)
        if not isinstance(image.wanted, Tag):
            repeated = f"crproxy tag pin {image.repository}:TAG {image.wanted}"
            raise Mistake(f"{image.full_name} is no tag, and a digest never moves: name a tag, such as {repeated}")
        if digest:
            try:
                Digest.parse(digest)
            except RegistryError:
                raise Mistake(f"{digest[:80]!r} is no digest: write sha256: and 64 hexadecimal digits") from None
        return image.repository, image.wanted

    def _check_not_configured(self, repository: Repository, tag: Tag) -> None:
        if (repository, tag) in self._current().pins:
            raise Mistake(
                f"{repository.named(tag)} is pinned in the configuration's file, below [pins]: change it there, and "
                "reload",
                409,
            )

    def _pin_of(self, repository: Repository, tag: Tag) -> Digest | None:
        configured = self._current().pins.get((repository, tag))
        pin = self._pins.of(repository, tag) if configured is None else None
        return configured if pin is None else pin.digest

    def _expect(self, repository: Repository, tag: Tag) -> Expected:
        """Return what those are answered of whom nothing is known."""
        return self._expected.of(repository, tag, self._current().decide(Subject(repository)).rule)

    def _answer(self, repository: Repository, tag: Tag) -> dict[str, Any]:
        rule = self._current().decide(Subject(repository)).rule
        expected = self._expected.of(repository, tag, rule)
        return answer_document(expected, rule, is_configured=(repository, tag) in self._current().pins)


def _nothing_known(named: str) -> str:
    return f"nothing is known of {named} here: pull it once (crproxy warm {named})"


def _pin_document(repository: Repository, tag: Tag, digest: Digest, made: float | None) -> dict[str, Any]:
    """Return a pin as JSON has it; one of the file is of no known time."""
    where = "file" if made is None else "command"
    return {"image": repository.named(tag), "digest": str(digest), "made": made, "where": where}
