"""What an operator can do with tags, of a cache that a test has."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.defer import succeed
from twisted.internet.interfaces import IReactorTime

from crproxy.admin.tag_work import TagWork
from crproxy.config import Config
from crproxy.oci.digests import Digest
from crproxy.oci.names import Repository, Tag
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.ages import KnownAges
from crproxy.pullthrough.expected_answers import ExpectedAnswers
from crproxy.pullthrough.verdicts import MemoryVerdicts, Verdicts
from crproxy.store.store import Store
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import TagPins

__all__ = ["expected_answers", "tag_work"]


async def _nothing() -> None:
    """Keep nothing."""


def expected_answers(
    store: Store,
    pullthrough: PullThrough,
    current: Callable[[], Config],
    clock: IReactorTime,
    denied: Callable[[], Collection[Digest]] = tuple,
    verdicts: Verdicts | None = None,
) -> ExpectedAnswers:
    """What requests are answered."""
    pins = TagPins(store.index, clock.seconds)

    def pin_of(repository: Repository, tag: Tag) -> Digest | None:
        pin = pins.of(repository, tag)
        return current().pins.get((repository, tag)) or (None if pin is None else pin.digest)

    ages = KnownAges(TagHistory(store.index, clock.seconds), clock.seconds)
    return ExpectedAnswers(ages, store, pullthrough.view, pin_of, denied, verdicts or MemoryVerdicts())


def tag_work(store: Store, pullthrough: PullThrough, current: Callable[[], Config], clock: IReactorTime) -> TagWork:
    """What can be done, of images all of which is here."""
    return TagWork(
        current,
        TagHistory(store.index, clock.seconds),
        TagPins(store.index, clock.seconds),
        expected_answers(store, pullthrough, current, clock),
        pullthrough.view,
        lambda repository, digest: succeed(True),
        _nothing,
        frozenset,
        clock.seconds,
    )
