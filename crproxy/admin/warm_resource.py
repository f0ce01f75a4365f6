"""``/warm`` on the admin socket: images to pull, and a line of JSON for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.server import Request

from ..oci.errors import RegistryError
from ..oci.images import Image
from ..oci.platforms import Platform
from ..policy.images import parse_image
from ..policy.redaction import escaped, redacted
from ..policy.request_ids import with_id
from ..policy.routing import Names
from ..pullthrough.pulling import Progress, State, Wish
from ..pullthrough.warming import Warming
from ..web.branch import Branch
from ..web.request import id_of
from .documents import Lines, Mistake, answer_lines, error_answer, json_body

__all__ = ["WarmResource"]

# Seconds between two lines about what is on its way.
_TICK = 0.25
_MOST_JOBS = 64


class WarmResource(Branch):
    """``POST /warm`` with ``{"images": [...], "platforms": [...], "referrers": false, "jobs": 4}``.

    Arguments:
        warming: pulls.
        names: returns the names this proxy answers to.
        clock: for progress.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, warming: Warming, names: Callable[[], Names], clock: IReactorTime) -> None:
        super().__init__()
        self._warming = warming
        self._names = names
        self._clock = clock

    def render_POST(self, request: Request) -> bytes | int:
        """Pull, and tell of it."""
        try:
            document = json_body(request)
            names, wish = _strings(document, "images"), _wish(document)
        except Mistake as error:
            return error_answer(request, error)
        return answer_lines(request, lambda lines: self._warm(names, wish, lines, id_of(request)))

    async def _warm(self, texts: list[str], wish: Wish, lines: Lines, request_id: str) -> None:
        asked = [self._asked(number, text, request_id) for number, text in enumerate(texts)]

        def tell() -> None:
            for one in asked:
                one.tell(lines)

        telling = LoopingCall(tell)
        telling.clock = self._clock
        telling.start(_TICK)
        try:
            await self._warming.run([(one.image, one.progress) for one in asked if one.image is not None], wish)
        finally:
            telling.stop()
        tell()
        failed = sum(one.progress.state is State.FAILED for one in asked)
        lines.write({"warmed": len(asked) - failed, "failed": failed})

    def _asked(self, number: int, text: str, request_id: str) -> _Asked:
        try:
            return _Asked(number, text, parse_image(self._names(), text), request_id)
        except RegistryError as error:
            self._log.info("{image} cannot be warmed: {error}", image=escaped(redacted(text)), error=error.message)
            asked = _Asked(number, text, None, request_id)
            asked.progress.fail(error.message)
            return asked


class _Asked:
    """One image that was asked for, and what was last told of it: why it failed, with the id that the log has."""

    def __init__(self, number: int, text: str, image: Image | None, request_id: str) -> None:
        self._request_id = request_id
        self.image = image
        self.progress = Progress()
        self._number = number
        self._name = text if image is None else image.full_name
        self._told: dict[str, Any] = {}

    def tell(self, lines: Lines) -> None:
        """Say how it stands, where that is news."""
        document = self._document()
        if document == self._told or self.progress.state is State.WAITING:
            return
        # What is done or has failed may change once more, at the end of all.
        settled = self.progress.state in (State.DONE, State.FAILED)
        (lines.write if settled else lines.offer)(document)
        self._told = document

    def _document(self) -> dict[str, Any]:
        progress, why = self.progress, self.progress.why
        if why is not None and progress.state is State.FAILED:
            why = with_id(why, self._request_id)
        return {
            "number": self._number,
            "image": self._name,
            "state": progress.state.value,
            "done": progress.done,
            "total": progress.total,
            "fetched": progress.fetched,
            "digest": None if progress.digest is None else str(progress.digest),
            "why": why,
        }


def _wish(document: dict[str, Any]) -> Wish:
    try:
        platforms = tuple(Platform.parse(text) for text in _strings(document, "platforms"))
    except ValueError as error:
        raise Mistake(str(error)) from None
    jobs = document.get("jobs", 4)
    if not isinstance(jobs, int) or not 1 <= jobs <= _MOST_JOBS:
        raise Mistake(f"jobs is a number from 1 to {_MOST_JOBS}")
    return Wish(platforms, bool(document.get("referrers")), jobs)


def _strings(document: dict[str, Any], key: str) -> list[str]:
    found = document.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Mistake(f"{key} is a list of strings")
    return found
