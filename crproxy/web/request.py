"""A request that is told of, once, when it is over: whatever its end, with what was found out about it on the way.

Where it is told, and in which words, is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from ..config import Config
from ..limits.accepting import address_of
from ..oci.names import Repository
from ..oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, RegistryRequest
from ..policy.audit import Ending, Record, cache_state
from ..policy.clients import Network, is_trusted
from ..policy.redaction import redacted_target
from ..policy.request_ids import HEADER, RANDOM_BYTES, believed, make_id, with_id
from ..transports.files import read_piece
from .current_request import RequestId, on_behalf_of

__all__ = [
    "Observe",
    "ObservedRequest",
    "ObservedSite",
    "Whole",
    "field_of",
    "host_of",
    "id_of",
    "new_id",
    "note",
    "note_client",
    "note_image",
    "note_user",
]

# Of every answer, errors and what Twisted answers by itself among them: what a registry gave is a stranger's, and must
# not become a page of ours in somebody's browser. The page for people says what else it needs.
_INERT = {
    b"X-Content-Type-Options": [b"nosniff"],
    b"Content-Security-Policy": [b"default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'"],
}

# The least status of an error (RFC 9110, 15.5).
_FIRST_ERROR = 400

# Is told of each request that is over.
Observe = Callable[[Record], None]


@dataclass(slots=True)
class _Noted:
    """What was found out about a request."""

    client: str | None = None
    user: str | None = None
    registry: str | None = None
    repository: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """A request that came in one piece.

    Arguments:
        asked: its bytes.
        config: the configuration that counted then.
    """

    asked: bytes
    config: Config


class ObservedSite(Site):
    """A site whose requests are told of.

    Arguments (attributes, since Twisted makes sites in its own way):
        called: the site's name in a record.
        observe: is told.
        trusted: returns the networks of proxies whose ids of requests count.
        under_way: holds those that are being answered; None where nobody looks.
    """

    noisy = False  # otherwise it says of itself, as an object at an address, that it starts and stops
    called = "registry"
    observe: Observe | None = None
    trusted: Callable[[], Sequence[Network]] = tuple
    under_way: set[ObservedRequest] | None = None

    def startFactory(self) -> None:
        """Begin no log of Twisted's own, which has whole URIs in it (IFactory)."""

    def stopFactory(self) -> None:
        """End none (IFactory)."""

    def log(self, request: Request) -> None:  # type: ignore[override]
        """Tell of a request that was answered (HTTPFactory calls this for its own log)."""
        if isinstance(request, ObservedRequest):
            request.tell(Ending.WHOLE)


class ObservedRequest(Request):
    """One client's request.

    It is told of once it is over, if it ever was given to a resource: what is not HTTP never is.
    """

    # All that its connection sent to ask for it and nothing else, where it came in one piece.
    whole: Whole | None = None
    # What was told of it.
    told: Record | None = None
    _began: float | None = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        # No form is ever read here, and Twisted would hold a posted one in memory.
        super().__init__(*args, **{"parsePOSTFormSubmission": False, **kwargs})
        self.noted = _Noted()
        self.request_id = RequestId(self._given_id)

    @property
    def began(self) -> float | None:
        """When it was given to a resource, by the reactor's clock; None before, and once it was told of."""
        return self._began

    def __repr__(self) -> str:
        """Return what Twisted writes into the log now and then: no secret is in it."""
        target = redacted_target(self.uri.decode("latin-1"))
        return f"<{type(self).__name__} {self.method.decode('latin-1')} {target!a}>"

    def process(self) -> None:
        """Answer it (Request)."""
        for name, value in _INERT.items():
            self.responseHeaders.setRawHeaders(name, value)
        self.whole = getattr(self.channel, "whole", None)
        self.noted.user = getattr(self.channel, "user", None)
        site = self.channel.site  # type: ignore[attr-defined]  # HTTPFactory's protocols have it
        self._began = site.reactor.seconds()
        if isinstance(site, ObservedSite) and site.under_way is not None:
            site.under_way.add(self)
        with on_behalf_of(self.request_id):
            super().process()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """Answer with this status; an error has the request's id (Request).

        In the reason phrase, too: it is all that Docker shows of a 503, and containerd of what it is answered to HEAD.
        """
        if code >= _FIRST_ERROR:
            request_id = self.request_id.value
            self.setHeader(HEADER, request_id)
            message = message or with_id(_phrase(code), request_id).encode("ascii")
        super().setResponseCode(code, message)

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer what nobody foresaw, and say no more of it than the id that the log has it by (Request)."""
        request_id = self.request_id.value
        target = redacted_target(self.uri.decode("latin-1"))
        self._log.failure("{target} could not be answered", reason, target=target, request_id=request_id)
        if not self.startedWriting:
            text = with_id("crproxy itself failed; its log says why", request_id) + "\n"
            self.setResponseCode(500)
            self.setHeader("Content-Type", "text/plain; charset=utf-8")
            self.setHeader("Content-Length", str(len(text)))
            self.write(text.encode("ascii"))
        self.finish()
        return reason

    def _given_id(self) -> str | None:
        """Return the id that a trusted proxy gave it; None where none did."""
        # Refused before it was given to a resource it has no site of its own yet.
        site = self.site or getattr(self.channel, "site", None)
        trusted = site.trusted() if isinstance(site, ObservedSite) else ()
        if not trusted or not is_trusted(address_of(self.getClientAddress()), trusted):
            return None
        lines = self.requestHeaders.getRawHeaders(HEADER.encode("ascii"), [])
        return believed([line.decode("latin-1") for line in lines])

    def render(self, resrc: IResource) -> None:
        """Answer with what the resource says (Request)."""
        super().render(_Headless(resrc) if self.method == b"HEAD" else resrc)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send a piece of a file as a part of the body; return how many bytes are on their way."""
        if not self.startedWriting:
            self.write(b"")
        if self.finished or self._disconnected:
            return count
        if self.chunked:
            self.write(piece := read_piece(fd, offset, count))
            return len(piece)
        sent: int = self.channel.send_file(fd, offset, count)  # type: ignore[attr-defined]  # our own channels have it
        self.sentLength += sent
        return sent

    def send_view(self, view: memoryview) -> int:
        """Send some of ``view`` as a part of the body; return how many bytes are on their way."""
        if not self.startedWriting:
            self.write(b"")
        if self.finished or self._disconnected:
            return len(view)
        if self.chunked:
            self.write(bytes(view))
            return len(view)
        sent: int = self.channel.send_view(view)  # type: ignore[attr-defined]  # our own channels have it
        self.sentLength += sent
        return sent

    def connectionLost(self, reason: Failure) -> None:
        """Tell that nothing more of it is sent, and end what works for it (Request)."""
        # Inside of TLS an abort has no reason of its own.
        ours = reason.check(ConnectionAborted) or getattr(self.transport, "disconnecting", False)
        self.tell(Ending.CUT if ours else Ending.LEFT)
        super().connectionLost(reason)

    def tell(self, ending: Ending) -> None:
        """Tell of it, unless that was done."""
        began, self._began = self._began, None
        if isinstance(self.site, ObservedSite) and self.site.under_way is not None:
            self.site.under_way.discard(self)
        if began is None or not isinstance(self.site, ObservedSite) or self.site.observe is None:
            self.request_id.end()
            return
        try:
            self.told = self._record(self.site, began, ending)
            self.site.observe(self.told)
        except Exception:
            # Raised from here it would keep the connection from its next request.
            self._log.failure("a request has no line in the audit log")
        self.request_id.end()

    def _record(self, site: ObservedSite, began: float, ending: Ending) -> Record:
        return Record(
            moment=began,
            site=site.called,
            client=self.noted.client or address_of(self.getClientAddress()),
            user=self.noted.user,
            method=self.method.decode("latin-1"),
            target=self.uri.decode("latin-1"),
            protocol=self.clientproto.decode("latin-1"),
            host=field_of(self, b"host"),
            agent=field_of(self, b"user-agent"),
            registry=self.noted.registry,
            repository=self.noted.repository,
            reference=self.noted.reference,
            status=self.code if self.startedWriting else None,
            sent=self.sentLength,
            seconds=site.reactor.seconds() - began,
            cache=cache_state(_text(self.responseHeaders.getRawHeaders(b"Cache-Status", [None])[-1])),
            ending=ending,
            request=self.request_id.known or self._given_id(),
        )


class _Headless(Resource):
    """A resource asked by HEAD: what a GET would have in its body is counted, and left out.

    Twisted leaves it out, too, but writes a line into the log each time.
    """

    def __init__(self, asked: IResource) -> None:
        super().__init__()
        self._asked = asked

    def render(self, request: Request) -> bytes | int:
        body: bytes | int = self._asked.render(request)
        if isinstance(body, bytes) and body:
            request.setHeader("Content-Length", str(len(body)))
            return b""
        return body


def host_of(request: Request) -> str:
    """Return the Host; empty where there is none."""
    return field_of(request, b"host") or ""


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Error"


def id_of(request: Request) -> str:
    """Return the id of ``request``, by which the log tells of it."""
    if isinstance(request, ObservedRequest):
        return request.request_id.value
    # Of a site that is none of ours: nothing was told of it, and nothing will be.
    return make_id(bytes(RANDOM_BYTES))


def new_id() -> str:
    """Return an id for what never became a request."""
    return make_id(os.urandom(RANDOM_BYTES))


def note(request: Request, repository: Repository, wanted: RegistryRequest) -> None:
    """Note what ``request`` is for."""
    if not isinstance(request, ObservedRequest):
        return
    request.noted.registry = str(repository.registry)
    request.noted.repository = repository.path
    match wanted:
        case ManifestRequest(reference=reference):
            request.noted.reference = str(reference)
        case BlobRequest(digest=digest) | ReferrersRequest(digest=digest):
            request.noted.reference = str(digest)


def note_image(request: Request, repository: Repository, reference: object | None) -> None:
    """Note the image that an operator's ``request`` is about."""
    if isinstance(request, ObservedRequest):
        request.noted.registry = str(repository.registry)
        request.noted.repository = repository.path
        request.noted.reference = None if reference is None else str(reference)


def note_client(request: Request, client: str | None) -> None:
    """Note the IP address that a request comes from, where that is not the connection's."""
    if isinstance(request, ObservedRequest):
        request.noted.client = client


def note_user(request: Request, user: str | None) -> None:
    """Note who has logged in."""
    if user is not None and isinstance(request, ObservedRequest):
        request.noted.user = user


def field_of(request: Request, name: bytes) -> str | None:
    """Return a field of the header, whatever is in it: asked for as a text, Twisted wants it in UTF-8 and fails."""
    return _text(request.getHeader(name))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
