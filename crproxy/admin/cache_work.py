"""What an operator does with images that are kept, whichever way it is asked for: by a command, or on the page."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..oci.images import Image
from ..policy.images import parse_image
from ..policy.routing import Names
from ..store.entries import Entry
from ..store.filling import Threads
from ..store.image_contents import contents_of
from ..store.inventory import Inventory, StoredImage
from ..store.pinning import Pin, Pins
from ..store.removing import pinned_among, plan_removal, remove
from ..store.store import Store
from .documents import Mistake

__all__ = ["CacheWork"]


class CacheWork:
    """Lists images, removes them, and has them stay.

    Arguments:
        store: what is kept.
        inventory: looks at it.
        threads: for blocking work.
        names: returns the names this proxy answers to.
        clock: the time.
        pins: the images that stay.
        now: seconds since the epoch; the clock's by default.
    """

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        threads: Threads,
        names: Callable[[], Names],
        clock: IReactorTime,
        pins: Pins,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._pins = pins
        self._now = now or clock.seconds
        self._store = store
        self._inventory = inventory
        self._threads = threads
        self._names = names
        self._clock = clock

    def image(self, name: str) -> Image:
        """Return the image, or the repository, that ``name`` names. Raises RegistryError."""
        return parse_image(self._names(), name)

    async def images(self, pattern: str = "") -> list[StoredImage]:
        """Return the images that a pattern of the shell's, or a part of a name, is for; all by default."""
        self._store.note_use()
        images: list[StoredImage] = await self._threads(lambda: list(self._inventory.images()))
        return [image for image in images if _matches(image, pattern)]

    async def remove(self, name: str) -> dict[str, Any]:
        """Remove an image, or a repository, and return what went. Raises Mistake, RegistryError."""
        image = self.image(name)
        repository, reference = image.repository, image.reference
        views = await self._threads(self._inventory.by_credential, repository)
        removals = await self._threads(plan_removal, views, reference)
        what = str(repository) if reference is None else image.full_name
        if not removals:
            raise _not_here(what)
        pinned = sorted(pinned_among(views, removals))
        if pinned:
            first = f"{repository}{'@' if ':' in pinned[0] else ':'}{pinned[0]}"
            raise Mistake(f"{first} is pinned: crproxy cache unpin {first} lets it go", 409)
        answering = sorted(str(digest) for one in removals for digest in one.digests & self._pins.answering(repository))
        if answering:
            what = f"{repository}@{answering[0]}"
            raise Mistake(
                f"{what} is what a tag is pinned to: crproxy tag unpin lets it go, crproxy tag pins says which", 409
            )
        freed = await remove(self._store, removals, self._clock)
        tags = sorted({tag for removal in removals for tag in removal.tags})
        return {"removed": what, "tags": tags, "freed_bytes": freed.bytes, "freed_contents": freed.contents}

    async def contents(self, name: str) -> list[tuple[Entry, int]]:
        """Return what of an image, or of a repository, is here, with its bytes. Raises Mistake, RegistryError."""
        image = self.image(name)
        views = await self._threads(self._inventory.by_credential, image.repository)
        found: list[tuple[Entry, int]] | None = await self._threads(contents_of, views, image.reference)
        if found is None:
            raise _not_here(str(image.repository) if image.reference is None else image.full_name)
        return found

    async def pin(self, name: str) -> dict[str, Any]:
        """Have an image stay, and return which. Raises Mistake, RegistryError."""
        pin, what = self._pin(name)
        if not await self._pins.pin(pin, self._now()):
            raise _not_here(what)
        return {"pinned": what}

    async def unpin(self, name: str) -> dict[str, Any]:
        """Let an image go again when its room is needed, and return which. Raises Mistake, RegistryError."""
        pin, what = self._pin(name)
        if not await self._pins.unpin(pin):
            raise Mistake(f"{what} is not pinned: crproxy cache list shows what is", 404)
        return {"unpinned": what}

    def _pin(self, name: str) -> tuple[Pin, str]:
        image = self.image(name)
        return Pin(image.repository, image.wanted), image.repository.named(image.wanted)


def _not_here(what: str) -> Mistake:
    return Mistake(f"{what} is not in the cache: crproxy cache list shows what is", 404)


def _matches(image: StoredImage, pattern: str) -> bool:
    """Tell whether a pattern of the shell's is an image's name, its repository's, or a part of it."""
    if not pattern:
        return True
    if not any(character in pattern for character in "*?["):
        pattern = f"*{pattern}*"
    return fnmatchcase(image.name, pattern) or fnmatchcase(str(image.repository), pattern)
