"""What the admin socket answers: one JSON document, or a line of JSON for each thing that happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from .. import __version__
from ..config import ConfigError
from ..oci.errors import RegistryError
from ..policy.redaction import redacted
from ..policy.request_ids import with_id
from ..web.request import id_of

__all__ = [
    "Lines",
    "Mistake",
    "answer_later",
    "answer_lines",
    "argument",
    "at_once",
    "error_answer",
    "json_answer",
    "json_body",
]

_log = Logger("crproxy.admin")
# A list of images to warm, at the most.
_LONGEST_BODY = 16 * 1024 * 1024

Work = Coroutine[Deferred[Any], Any, Any]


class Mistake(Exception):
    """The operator's request cannot be fulfilled.

    Arguments:
        text: for the operator.
        status: of the answer.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def json_answer(request: Request, status: int, document: Any) -> bytes:
    """Return ``document`` as the body of the answer, and set its header."""
    _set_header(request, status, "application/json")
    return json.dumps(document, indent=2).encode() + b"\n"


def error_answer(request: Request, error: Mistake) -> bytes:
    """Return ``error`` as the body of the answer, with the request's id, and tell the log."""
    return json_answer(request, error.status, {"error": _told(error, request)})


def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object that the request has as its body. Raises Mistake."""
    content = b"" if request.content is None else request.content.read(_LONGEST_BODY + 1)
    if len(content) > _LONGEST_BODY:
        raise Mistake("this is too much for one request: send it in parts", 413)
    try:
        document = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise Mistake(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Mistake("the body is no JSON object")
    return document


def argument(request: Request, name: str) -> str:
    """Return the last value that the query has by this name, without white space around it; empty where it has none."""
    values: list[bytes] = (request.args or {}).get(name.encode(), [b""])
    return values[-1].decode("utf-8", "replace").strip()


async def at_once(work: Callable[[], Any]) -> Any:
    """Return what ``work`` does, for `answer_later`: its mistakes are told as those of what takes longer."""
    return work()


def answer_later(request: Request, work: Work) -> int:
    """Answer with the document that ``work`` returns, or with its mistake (IResource.render)."""

    async def answer() -> None:
        document = await work
        request.write(json_answer(request, 200, document))
        request.finish()

    return _begin(request, answer())


def answer_lines(request: Request, work: Callable[[Lines], Work]) -> int:
    """Answer with the lines that ``work`` writes; its mistake is the last one (IResource.render)."""

    async def answer() -> None:
        _set_header(request, 200, "application/x-ndjson")
        lines = Lines(request)
        request.registerProducer(lines, True)
        try:
            await work(lines)
        except Exception as error:
            if isinstance(error, CancelledError):
                raise
            lines.write({"error": _told(error, request)})
        request.unregisterProducer()
        request.finish()

    return _begin(request, answer())


@implementer(IPushProducer)
class Lines:
    """Lines of JSON on their way to the operator."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._paused = False

    def write(self, document: Any) -> None:
        """Send a line."""
        self._request.write(json.dumps(document).encode() + b"\n")

    def offer(self, document: Any) -> None:
        """Send a line that matters only now: not where the one before has not been taken yet."""
        if not self._paused:
            self.write(document)

    def pauseProducing(self) -> None:
        """Wait (IPushProducer)."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on (IPushProducer)."""
        self._paused = False

    def stopProducing(self) -> None:
        """The operator is gone (IPushProducer): the request's end cancels the work."""


def _begin(request: Request, answer: Work) -> int:
    answered = Deferred.fromCoroutine(answer)
    request.notifyFinish().addErrback(lambda _: answered.cancel())
    answered.addErrback(_broke, request)
    return NOT_DONE_YET


def _broke(failure: Failure, request: Request) -> None:
    if request._disconnected:
        failure.trap(CancelledError)
        return
    error: Any = failure.value
    status = 500
    if isinstance(error, Mistake | RegistryError):
        status = error.status
    elif isinstance(error, ConfigError):
        status = 400
    request.write(json_answer(request, status, {"error": _told(error, request)}))
    request.finish()


def _told(error: BaseException, request: Request) -> str:
    """Return what the operator is told, with the id by which the log has it, too."""
    request_id = id_of(request)
    text = error.message if isinstance(error, RegistryError) else str(error) or type(error).__name__
    if isinstance(error, RegistryError | Mistake | ConfigError):
        _log.info("the operator is told: {error}", error=redacted(text), request_id=request_id)
    else:
        _log.failure("the operator's request failed", Failure(error), request_id=request_id)
    return with_id(text, request_id)


def _set_header(request: Request, status: int, media_type: str) -> None:
    request.setResponseCode(status)
    request.setHeader("Content-Type", media_type)
    request.setHeader("Server", f"crproxy/{__version__}")
