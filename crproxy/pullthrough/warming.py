"""Images pulled into the cache for nobody, a few transfers at a time.

Who asked for it, and how progress is shown, is not known here. What may be asked for is decided by whoever puts this
together: the check is handed in, and runs for each image before anything is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..oci.errors import RegistryError
from ..oci.images import Image
from ..oci.names import Repository
from ..policy.redaction import redacted
from ..store.store import Store
from .pulling import Progress, Pulling, State, Wish, together
from .pullthrough import PullThrough

__all__ = ["Warming"]

# The least status of what is no fault of who asked (RFC 9110, 15.6).
_FAULT = 500


class Warming:
    """Pulls images.

    Arguments:
        pullthrough: answers as it answers clients.
        store: where it all is to be in the end.
        check: raises RegistryError for a repository that clients may not have.
        clock: for waiting.
    """

    _log = Logger()

    def __init__(
        self, pullthrough: PullThrough, store: Store, check: Callable[[Repository], object], clock: IReactorTime
    ) -> None:
        self._pullthrough = pullthrough
        self._store = store
        self._check = check
        self._clock = clock

    async def run(self, images: Sequence[tuple[Image, Progress]], wish: Wish) -> None:
        """Return when each image is in the store, or has failed, as its progress says.

        Cancelled, it stops; what has come stays, and is not fetched again by another run.
        """
        turns, transfers = DeferredSemaphore(wish.jobs), DeferredSemaphore(wish.jobs)
        await together(self._in_turn(image, progress, wish, turns, transfers) for image, progress in images)
        for image, progress in images:
            if progress.state is State.DONE and not self._is_here(progress):
                why = "parts of it were dropped again: the cache is too small for all of this"
                self._log.warn("{image} could not be pulled: {error}", image=str(image), error=why)
                progress.fail(why)

    async def _in_turn(
        self, image: Image, progress: Progress, wish: Wish, turns: DeferredSemaphore, transfers: DeferredSemaphore
    ) -> None:
        await turns.acquire()
        try:
            progress.state = State.FETCHING
            await self._one(image, progress, wish, transfers)
        finally:
            turns.release()

    async def _one(self, image: Image, progress: Progress, wish: Wish, transfers: DeferredSemaphore) -> None:
        try:
            self._check(image.repository)
            pulling = Pulling(self._pullthrough, self._store, image.repository, progress, transfers, self._clock)
            await pulling.pull(image.wanted, wish)
            progress.state = State.DONE
        except CancelledError:
            raise
        except RegistryError as error:
            # As what a client is answered: on whose behalf it was pulled is known to the log.
            tell = self._log.warn if error.status >= _FAULT else self._log.info
            tell("{image} could not be pulled: {error}", image=str(image), error=redacted(str(error)))
            progress.fail(error.message)
        except Exception as error:
            self._log.warn("{image} could not be pulled: {error}", image=str(image), error=error)
            progress.fail(str(error) or type(error).__name__)

    def _is_here(self, progress: Progress) -> bool:
        return all(self._store.size(entry) is not None for entry in progress.entries)
