"""One question to an upstream, through its challenges, its redirects and its moments of weakness, to one answer.

Knows HTTP and how registries authenticate; does not know what is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from ..config import Timeouts, Upstream
from ..limits import Body
from ..oci.errors import ErrorCode, RegistryError
from ..oci.sizes import parse_size
from ..policy.challenges import Challenge, parse_challenges
from ..policy.redirects import REDIRECT_STATUSES, RefusedRedirect, UnsoundRedirect, follow
from ..policy.refusals import unavailable
from ..policy.retries import RETRY_STATUSES
from .agent import CODING, USER_AGENT, send
from .attempts import Attempt, Told, tell_nobody
from .availability import AlwaysUp, Watch
from .errors import TRANSPORT_ERRORS, HostIsDown, RefusedAddress, RefusedByProxy, describe, innermost, is_ours
from .fields import field_of, lines_of
from .relay import Received, Relay, collect, count_nothing, discard
from .retrying import retry
from .tokens import Tokens

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["Answer", "Exchange", "Question"]

# Those of which a challenge is answered.
_ALL_SCHEMES = frozenset({"bearer", "basic"})
# Of CR, LF and NUL "a recipient ... MUST either reject the message or replace each of those characters with SP before
# further processing or forwarding" (RFC 9110, 5.5); the other control characters are no use to anybody.
_CLEAN = bytes(32 if (code < 32 and code != 9) or code == 127 else code for code in range(256))


@dataclass(frozen=True, slots=True)
class Question:
    """What an upstream is asked.

    Arguments:
        method: GET or HEAD.
        path: from the endpoint's root on, with its query.
        scope: what a token must be good for.
        kind: of what is asked for, as paths name it: ``manifests``, ``blobs``, ``tags``, ``referrers``.
        headers: a field's name to its values, each sent as a line of its own.
        caller: an Authorization that is sent in place of the proxy's own, to the registry's own origin alone.
        stays: a redirect to another host is not followed, but an answer.
    """

    method: str
    path: str
    scope: str
    kind: str = "blobs"
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    caller: str | None = field(default=None, repr=False)
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer; its body is still with upstream.

    Arguments:
        status: the HTTP status.
        headers: names in lower case; lines of one name joined by commas (RFC 9110, 5.3), without control characters.
        response: for its body.
        ours: the registry itself has answered, and not a host that it redirects to.
        elsewhere: the URL of another host that it redirects to, where that is not followed.
    """

    status: int
    headers: Mapping[str, str]
    response: IResponse
    ours: bool = True
    elsewhere: str | None = None

    @classmethod
    def of(cls, response: IResponse) -> Answer:
        """Return ``response`` as an Answer."""
        headers = {
            name.decode("latin-1").lower(): b", ".join(values).translate(_CLEAN).decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        # Twisted gives an answer to HEAD the length 0; what it stands for is in its Content-Length, if anywhere.
        if response.length is not UNKNOWN_LENGTH and response.request.method != b"HEAD":
            headers.setdefault("content-length", str(response.length))
        return cls(response.code, headers, response)


@dataclass(frozen=True, slots=True)
class _Hop:
    """The next request to make.

    Arguments:
        url: where to.
        followed: redirects so far.
        ours: still the registry's own origin, whose credentials may be used.
        authorization: sent along.
        tried: the schemes of this origin's challenges that were answered, once each.
    """

    url: str
    followed: int = 0
    ours: bool = True
    authorization: str | None = None
    tried: frozenset[str] = frozenset()


class Exchange:
    """Asks upstreams.

    Arguments:
        client: makes the requests to one.
        tokens: authorize them.
        timeouts: how long answers may take.
        clock: for those, and for waiting between attempts.
        limit: returns a body as it may flow here.
        told: of each attempt.
        received: of the bytes of bodies, as they come.
        watch: knows which hosts need not be waited for.
    """

    def __init__(
        self,
        client: Callable[[Upstream], HTTPClient],
        tokens: Tokens,
        timeouts: Timeouts,
        clock: IReactorTime,
        limit: Callable[[Body], Body] = lambda body: body,
        told: Told = tell_nobody,
        received: Received = count_nothing,
        watch: Watch | None = None,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._timeouts = timeouts
        self._clock = clock
        self._limit = limit
        self._told = told
        self._received = received
        self._watch = watch or AlwaysUp()

    @property
    def clock(self) -> IReactorTime:
        """The time."""
        return self._clock

    def gave_up(self, upstream: Upstream, seconds: float) -> None:
        """Tell of an attempt that was ended after so many seconds, because somebody else is asked instead."""
        self._told(Attempt.of_error(upstream.registry, seconds, TookTooLong(), upstream.endpoint))

    async def ask(self, upstream: Upstream, question: Question) -> Answer:
        """Return upstream's answer, whatever its status; its body must be read or let go of.

        Raises:
            RegistryError: UNAVAILABLE where there is no answer, DENIED where it must not be asked for.
        """
        first = hop = self._first(upstream, question)
        renewed = False
        while True:
            answer = await self._send(upstream, question, hop)
            try:
                step = self._next(upstream, question, hop, answer)
                following = None if step is None else await step
            except Exception:
                self.discard(answer)
                raise
            if following is None and not renewed and _link_is_dead(question, hop, answer):
                following, renewed = first, True
            elif following is None:
                return replace(answer, ours=hop.ours)
            if question.stays and hop.ours and not following.ours:
                return replace(answer, elsewhere=following.url)
            self.discard(answer)
            hop = following

    async def challenges(self, upstream: Upstream, authorization: str | None = None) -> list[Challenge] | None:
        """Return how ``upstream`` wants to be asked, by its answer to ``/v2/``; None where it is content.

        Arguments:
            authorization: sent along.

        Raises:
            RegistryError: it does not answer, or neither of the two.
        """
        ping = Question("GET", "/v2/", "", "ping")
        answer = await self._send(upstream, ping, _Hop(f"{upstream.endpoint}/v2/", authorization=authorization))
        self.discard(answer)
        if answer.status == 200:
            return None
        if answer.status not in (401, 403):
            raise unavailable(upstream.registry, f"/v2/ was answered {answer.status}")
        return parse_challenges(lines_of(answer.response, b"www-authenticate"))

    def relay(self, answer: Answer) -> Body:
        """Return the body of ``answer``, to be joined to a consumer."""
        return self._limit(Relay(answer.response, self._timeouts.idle, self._clock, self._received))

    async def read(self, answer: Answer, limit: int) -> bytes:
        """Return the body of ``answer``, of ``limit`` bytes at the most; see `collect` for what it raises."""
        return await collect(answer.response, limit, self._timeouts.idle, self._clock, self._received)

    def discard(self, answer: Answer) -> None:
        """Let go of the body of ``answer``."""
        discard(answer.response, self._timeouts.idle, self._clock)

    def _first(self, upstream: Upstream, question: Question) -> _Hop:
        url = upstream.endpoint + question.path
        if question.caller is not None:
            # What a challenge would bring is the client's to fetch, not ours.
            return _Hop(url, authorization=question.caller, tried=_ALL_SCHEMES)
        return _Hop(url, authorization=self._tokens.known(upstream, question.scope, upstream.username))

    def _next(self, upstream: Upstream, question: Question, hop: _Hop, answer: Answer) -> Awaitable[_Hop | None] | None:
        if answer.status == 401 and hop.tried != _ALL_SCHEMES:
            return self._authorized(upstream, question, hop, answer)
        if answer.status in REDIRECT_STATUSES:
            return self._redirected(upstream, hop, answer)
        return None

    async def _authorized(self, upstream: Upstream, question: Question, hop: _Hop, answer: Answer) -> _Hop | None:
        lines = lines_of(answer.response, b"www-authenticate")
        authorized = await self._tokens.authorize(
            self._client(upstream),
            upstream,
            parse_challenges(lines),
            question.scope,
            anonymous=not hop.ours,
            rejected=hop.authorization,
            tried=hop.tried,
        )
        if authorized is None:
            return None
        return replace(hop, authorization=authorized.authorization, tried=hop.tried | {authorized.scheme})

    async def _redirected(self, upstream: Upstream, hop: _Hop, answer: Answer) -> _Hop:
        location = answer.headers.get("location")
        try:
            redirect = follow(hop.url, location, followed=hop.followed, allow_http=upstream.allow_http)
        except UnsoundRedirect as error:
            raise RegistryError(ErrorCode.DENIED, f"{upstream.registry} is refused: {error}") from error
        except RefusedRedirect as error:
            raise unavailable(upstream.registry, str(error)) from error
        if redirect.same_origin:
            return replace(hop, url=redirect.url, followed=hop.followed + 1)
        return _Hop(redirect.url, hop.followed + 1, ours=False)

    async def _send(self, upstream: Upstream, question: Question, hop: _Hop) -> Answer:
        try:
            return await self._watch.over(upstream, hop.url, lambda: self._retry(upstream, question, hop))
        except HostIsDown as error:
            raise unavailable(upstream.registry, describe(error)) from error

    async def _retry(self, upstream: Upstream, question: Question, hop: _Hop) -> Answer:
        """Return the answer, after as many attempts as it takes and there may be."""

        async def attempt() -> Answer | Exception:
            outcome = await self._attempt(upstream, question, hop)
            if isinstance(outcome, Answer):
                self._watch.answered(upstream, hop.url)
            return outcome

        outcome = await retry(attempt, _passes, self.discard, upstream.retries, self._timeouts.headers, self._clock)
        if isinstance(outcome, Exception):
            raise unavailable(upstream.registry, describe(outcome)) from outcome
        return outcome

    async def _attempt(self, upstream: Upstream, question: Question, hop: _Hop) -> Answer | Exception:
        headers = {"User-Agent": [USER_AGENT], **question.headers}
        if hop.authorization is not None:
            headers["Authorization"] = [hop.authorization]
        http, began = self._client(upstream), self._clock.seconds()
        try:
            response = await send(http, question.method, hop.url, headers, self._timeouts.headers, self._clock)
        except TRANSPORT_ERRORS as error:
            self._told(Attempt.of_error(upstream.registry, self._clock.seconds() - began, error, upstream.endpoint))
            reason = innermost(error)
            if isinstance(reason, RefusedAddress):
                raise RegistryError(
                    ErrorCode.DENIED, f"{upstream.registry} is refused: {reason}{_refused_hint(upstream, hop)}"
                ) from error
            if isinstance(reason, RefusedByProxy):
                # Not tried again: a wrong password, several times, locks accounts.
                raise unavailable(upstream.registry, str(reason)) from error
            if is_ours(error):
                raise unavailable(upstream.registry, describe(error)) from error
            return error
        seconds = self._clock.seconds() - began
        self._told(Attempt.of_status(upstream.registry, seconds, response.code, upstream.endpoint))
        answer = Answer.of(response)
        if question.kind != "blobs" and field_of(response, CODING):
            # Of a blob it may be what the store was told of the bytes that the digest names: that decides.
            self.discard(answer)
            raise unavailable(upstream.registry, "it sent the body compressed, though it was asked not to")
        if not _length_can_be(answer):
            self.discard(answer)
            raise RegistryError(
                ErrorCode.UNAVAILABLE, f"{upstream.registry} announced a body whose length cannot be", status=502
            )
        return answer


def _passes(answer: Answer) -> bool:
    """Tell whether it is of a server that is away for a moment, and does not say for how long."""
    return answer.status in RETRY_STATUSES and "retry-after" not in answer.headers


def _length_can_be(answer: Answer) -> bool:
    """Tell whether the Content-Length, which may stand for a body that never comes, is one that can be held.

    "A recipient MUST anticipate potentially large decimal numerals" (RFC 9110, 8.6). Lines that repeat it are one.
    """
    said = {length.strip(" \t") for length in answer.headers.get("content-length", "").split(",")}
    return said == {""} or (len(said) == 1 and parse_size(said.pop()) is not None)


def _link_is_dead(question: Question, hop: _Hop, answer: Answer) -> bool:
    """Tell whether a blob's signed URL is good for nothing any more, so that the registry is to give another."""
    is_signed = question.kind == "blobs" and question.method == "GET" and not hop.ours
    return is_signed and answer.status in (401, 403)


def _refused_hint(upstream: Upstream, hop: _Hop) -> str:
    where = f'[upstreams."{upstream.registry}"]'
    if hop.followed:
        return f"; it was sent there by a redirect: if that is meant, list the host as private_hosts under {where}"
    return f"; if that is meant, whoever runs this proxy writes its endpoint under {where}"
