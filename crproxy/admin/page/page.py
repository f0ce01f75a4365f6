"""``/admin``: the page, what keeps it up to date, and the forms that it sends.

Everything below it passes the gate first; what changes something is a POST, from a form of the page's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request

from ... import __version__
from ...oci.errors import ErrorCode, RegistryError
from ...policy.redaction import redacted
from ...store.inventory import StoredImage
from ...web.branch import Branch
from ...web.error_pages import error_page
from ...web.page.assets import PATH, Assets
from ...web.page.preferences import language_of
from ...web.page.texts import Language
from ...web.request import Observe, field_of, id_of, note_image
from ...web.site import PlainSite
from ..documents import Mistake
from .actions import Action, Actions
from .gate import Gate, Operator, check_origin
from .overview import Overview
from .sections import Asked, page_of, parts_of, result_of
from .stream import Streams
from .tags import Tags

__all__ = ["OperatorPage", "Sources", "make_own_site"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With "no-referrer" a browser would not say from which site a form is (Fetch, "append a request `Origin` header").
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": f"crproxy/{__version__}",
}
_LONGEST_FORM = 16 * 1024
_FIELDS = 16


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page is made of.

    Arguments:
        overview: returns what all workers do.
        images: returns those that are kept, by a pattern.
        tags: returns those that moved, or are pinned.
        actions: what can be done.
        streams: keep pages up to date.
        asset: returns where a file beside the page is.
    """

    overview: Callable[[], Awaitable[Overview]]
    images: Callable[[str], Awaitable[Sequence[StoredImage]]]
    tags: Callable[[], Tags]
    actions: Actions
    streams: Streams
    asset: Callable[[str], str]


class _Guarded(Branch):
    """Answers by one method, and operators alone."""

    _log = Logger()
    _methods: tuple[bytes, ...] = (b"GET", b"HEAD")

    def __init__(self, gate: Gate, sources: Sources) -> None:
        super().__init__()
        self._gate = gate
        self._sources = sources

    def render(self, request: Request) -> int:
        """Answer (IResource)."""
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        answered = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: answered.cancel())
        answered.addErrback(self._broke, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        operator = await self._gate.admit(request)
        if request.method not in self._methods:
            request.setHeader("Allow", b", ".join(self._methods))
            raise RegistryError(ErrorCode.UNSUPPORTED, "this cannot be done here")
        await self._serve(request, operator)

    async def _serve(self, request: Request, operator: Operator) -> None:
        raise NotImplementedError

    def _broke(self, failure: Failure, request: Request) -> None:
        if request._disconnected or failure.check(CancelledError):
            return
        error = failure.value
        if isinstance(error, RegistryError):
            for name, value in error.headers().items():
                request.setHeader(name, value)
            status, message = error.status, error.message
        elif isinstance(error, Mistake):
            status, message = error.status, str(error)
        if isinstance(error, RegistryError | Mistake):
            self._log.info("the operator is told: {error}", error=redacted(message), request_id=id_of(request))
        else:
            status, message = 500, "crproxy itself failed; its log says why"
            self._log.failure("the operator's page cannot be shown", failure, request_id=id_of(request))
        if request.startedWriting:
            cast(Any, request.transport).abortConnection()
            return
        # It sets its own type, and ends the request; what protects it stays.
        error_page(request, status, message)


class OperatorPage(_Guarded):
    """The page.

    Arguments:
        gate: lets operators in.
        sources: what it is made of.
    """

    def __init__(self, gate: Gate, sources: Sources) -> None:
        super().__init__(gate, sources)
        self.putChild(b"events", _Events(gate, sources))
        for name, action in sources.actions.by_name.items():
            self.putChild(name.encode(), _Form(gate, sources, name, action))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return what is below it where there is nothing (IResource): who is not let in is told the same of all."""
        return self if path == b"" else _Nothing(self._gate, self._sources)

    async def _serve(self, request: Request, operator: Operator) -> None:
        asked = _asked(request)
        overview = await self._sources.overview()
        images = await self._sources.images(asked.pattern)
        page = page_of(asked, overview, images, self._sources.tags(), operator, self._sources.asset)
        _write(request, page, asked.language)


class _Nothing(_Guarded):
    """What is not there."""

    async def _serve(self, request: Request, operator: Operator) -> None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, "there is nothing here")


class _Events(_Guarded):
    """``/admin/events``: what has changed, while somebody looks."""

    _methods = (b"GET",)

    async def _serve(self, request: Request, operator: Operator) -> None:
        check_origin(request)
        asked = _asked(request)

        async def read() -> dict[str, str]:
            # Who is an admin no more sees no more.
            if not self._gate.lets_in(operator):
                raise RegistryError(ErrorCode.UNAUTHORIZED, "log in again")
            return parts_of(asked, await self._sources.overview())

        await self._sources.streams.send(request, read)


class _Form(_Guarded):
    """``/admin/NAME``: does something."""

    _methods = (b"POST",)

    def __init__(self, gate: Gate, sources: Sources, name: str, action: Action) -> None:
        super().__init__(gate, sources)
        self._name = name
        self._action = action

    async def _serve(self, request: Request, operator: Operator) -> None:
        fields = _fields(b"" if request.content is None else request.content.read(_LONGEST_FORM + 1))
        self._gate.check_form(request, operator, fields.get("token", ""))
        image = None
        if self._action.has_image:
            image = self._sources.actions.image(fields.get("image", ""))
            note_image(request, image.repository, image.reference)
        asked = _asked(request, fields)
        done = await self._action.run(image)
        _write(request, result_of(asked, self._name, done, self._sources.asset), asked.language)


def make_own_site(
    gate: Gate, sources: Sources, assets: Assets, reactor: IReactorTime, observe: Observe | None
) -> PlainSite:
    """Return the site of an endpoint of the page's own."""
    root = _OwnRoot()
    root.putChild(PATH.encode("ascii"), assets)
    root.putChild(b"admin", OperatorPage(gate, sources))
    return PlainSite.make(root, "page", reactor, observe)


class _OwnRoot(Branch):
    """Leads to the page."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self if path == b"" else super().getChild(path, request)

    def render_GET(self, request: Request) -> bytes:
        request.redirect(b"/admin")
        return b""


def _write(request: Request, page: bytes, language: Language) -> None:
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    request.setHeader("Content-Language", language.tag)
    request.setHeader("Vary", "Accept-Language")
    request.setHeader("Content-Length", str(len(page)))
    request.write(page)
    request.finish()


def _asked(request: Request, form: dict[str, str] | None = None) -> Asked:
    fields = _fields(request.uri.partition(b"?")[2]) | (form or {})
    number = fields.get("page", "1")
    return Asked(
        language=language_of(fields.get("lang"), field_of(request, b"accept-language")),
        chosen=fields.get("lang") in {language.value for language in Language},
        pattern=fields.get("q", "").strip()[:200],
        sort=fields.get("sort", ""),
        number=int(number) if number.isdecimal() and len(number) < 6 else 1,
    )


def _fields(text: bytes) -> dict[str, str]:
    """Return the fields of a query, or of a form's body. Raises RegistryError: 400, 413."""
    if len(text) > _LONGEST_FORM:
        raise RegistryError(ErrorCode.UNSUPPORTED, "this form is too long", status=413)
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError:
        raise RegistryError(ErrorCode.UNSUPPORTED, "there are too many fields in this", status=400) from None
    return dict(pairs)
