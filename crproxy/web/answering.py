"""An answer that takes its time: a coroutine that returns a reply, and what becomes of it when it breaks."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from .. import __version__
from ..oci.errors import ErrorCode, RegistryError
from ..policy.redaction import escaped, redacted
from ..policy.request_ids import error_with_id
from ..pullthrough import Reply
from .prepared import prepare
from .request import id_of
from .sending import send

__all__ = ["answer"]

_log = Logger("crproxy.web")
# The least status of what is no client's fault (RFC 9110, 15.6).
_FAULT = 500


def answer(request: Request, reply: Coroutine[Deferred[Any], Any, Reply]) -> int:
    """Answer ``request`` with what ``reply`` returns, or with the RegistryError that it raises (IResource.render).

    It is cancelled when the client leaves.
    """
    answered = Deferred.fromCoroutine(_answer(request, reply))
    request.notifyFinish().addErrback(lambda _: answered.cancel())
    answered.addErrback(_broke, request)
    return NOT_DONE_YET


async def _answer(request: Request, awaited: Coroutine[Deferred[Any], Any, Reply]) -> None:
    request.setHeader("Server", f"crproxy/{__version__}")
    request.setHeader("Docker-Distribution-Api-Version", "registry/2.0")
    try:
        reply = await awaited
    except RegistryError as error:
        tell = _log.warn if error.status >= _FAULT else _log.info
        tell("{path}: {error}", path=_path(request), error=redacted(str(error)), request_id=id_of(request))
        reply = Reply.error(error_with_id(error, id_of(request)))
    await send(request, reply)
    prepare(request, reply)


def _broke(failure: Failure, request: Request) -> None:
    """End a request whose answer cannot be finished."""
    if request._disconnected:
        failure.trap(CancelledError)
        return
    path, request_id = _path(request), id_of(request)
    if request.startedWriting:
        why = redacted(failure.getErrorMessage())
        _log.warn("{path}: aborted: {why}", path=path, why=why, request_id=request_id)
        cast(ITCPTransport, request.transport).abortConnection()
    else:
        _log.failure("{path}", failure, path=path, request_id=request_id)
        error = RegistryError(ErrorCode.UNAVAILABLE, "crproxy itself failed; its log says why", status=500)
        Deferred.fromCoroutine(send(request, Reply.error(error_with_id(error, request_id))))


def _path(request: Request) -> str:
    """Return the path as the log may have it."""
    return escaped(redacted(request.path.decode("latin-1")))
