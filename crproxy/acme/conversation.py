"""Signed requests to a CA and its answers: nonces, refusals, and no more of them at a time than it should bear.

RFC 8555, 6. Knows of the documents the directory only, and nothing of accounts and orders.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from .. import __version__
from ..config import Timeouts
from ..policy.refusals import parse_retry_after
from ..policy.urls import origin_of
from ..upstream.agent import send
from ..upstream.errors import TRANSPORT_ERRORS, describe
from ..upstream.fields import field_of
from ..upstream.relay import BodyBroke, BodyTooLarge, collect
from .documents import Directory, parse_json
from .errors import CaUnreachable, Malformed, Problem, RateLimited, Refused
from .jws import AccountKey, is_base64url

__all__ = ["Answer", "Conversation"]

# The longest answer is a chain of certificates, a few KiB.
_ANSWER_LIMIT = 1024 * 1024
# How often a request is repeated with another nonce. The CA that is tested with rejects half of all: 8 times would fail
# one request in 500, and an issuance takes ten.
_NONCE_RETRIES = 15
_KEPT_NONCES = 16
# A CA that moves its resources is found again the next day.
_DIRECTORY_LIFETIME = 24 * 3600.0

_JSON = ("application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a CA answered.

    Arguments:
        media_type: its Content-Type without parameters, in lower case.
        location: what it created or found.
        nonce: one for the next request.
        retry_after: the seconds after which it wants to be asked again.
    """

    status: int
    media_type: str
    location: str | None
    nonce: str | None
    retry_after: int | None
    body: bytes

    @property
    def document(self) -> object:
        """What it says in JSON; raises Malformed where that is not what it is."""
        if self.media_type not in _JSON:
            raise Malformed(f"the CA sent {self.media_type[:80] or 'no type'!r} where JSON was expected")
        return parse_json(self.body)

    @property
    def problem(self) -> Problem:
        """Why it refuses, in so far as it says so."""
        try:
            problem = Problem.read(self.document)
        except Malformed:
            problem = Problem()
        return problem if problem.kind or problem.detail else Problem(detail=f"status {self.status}")

    @property
    def is_success(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300


class Conversation:
    """Requests to one CA, signed with one key.

    Arguments:
        http: how the CA is reached.
        directory_url: where its directory is; https, unless one means a CA of one's own.
        key: the account's.
        clock: for timeouts.
        now: seconds since the epoch, for dates in Retry-After; the clock's by default.
        timeouts: how long an answer may take.
        gate: through which every signed request passes; shared where there are more clients of one CA.

    Raises:
        ValueError: ``directory_url`` is no URL.
    """

    def __init__(
        self,
        http: HTTPClient,
        directory_url: str,
        key: AccountKey,
        clock: IReactorTime,
        timeouts: Timeouts,
        gate: DeferredSemaphore,
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        origin = origin_of(directory_url)
        if origin is None:
            raise ValueError(f"a CA's directory is at an http or https URL, not at {directory_url!r}")
        self.host = origin.host
        self._allow_http = origin.scheme == "http"
        self._http = http
        self._directory_url = directory_url
        self._key = key
        self._clock = clock
        self._now = now or clock.seconds
        self._timeouts = timeouts
        self._gate = gate
        self._nonces: list[str] = []
        self._directory: Directory | None = None
        self._directory_expires = 0.0

    async def directory(self) -> Directory:
        """Return the CA's directory."""
        if self._directory is None or self._clock.seconds() >= self._directory_expires:
            answer = await self.get(self._directory_url, "its directory")
            self._directory = Directory.parse(answer.document)
            self._directory_expires = self._clock.seconds() + _DIRECTORY_LIFETIME
        return self._directory

    async def get(self, url: str, what: str) -> Answer:
        """Ask for what needs no account.

        Arguments:
            what: what is asked for, for the error.

        Raises:
            AcmeError: there was no answer, or a refusal.
        """
        return self._accept(await self._exchange("GET", url), what)

    async def post(self, url: str, payload: object, account: str | None, what: str) -> Answer:
        """Ask for something, signed.

        Arguments:
            payload: what is said, as JSON; None for a POST-as-GET (RFC 8555, 6.3).
            account: the account's URL; None to send the key itself.
            what: what is asked for, for the error.

        Raises:
            AcmeError: there was no answer, or a refusal.
        """
        content = b"" if payload is None else json.dumps(payload).encode("ascii")
        async with self._gate:
            answer = await self._post_once(url, content, account)
            for _ in range(_NONCE_RETRIES):
                # "a client SHOULD retry the request using the new nonce" (6.5): it was put on top of the others.
                if answer.is_success or answer.problem.kind != "badNonce":
                    break
                answer = await self._post_once(url, content, account)
        return self._accept(answer, what)

    async def _post_once(self, url: str, content: bytes, account: str | None) -> Answer:
        nonce = self._nonces.pop() if self._nonces else await self._new_nonce()
        answer = await self._exchange("POST", url, self._key.sign(content, url, nonce, account))
        if answer.nonce is not None:
            # The latest is used first: the oldest are those that the CA may have forgotten.
            self._nonces = [*self._nonces, answer.nonce][-_KEPT_NONCES:]
        return answer

    async def _new_nonce(self) -> str:
        answer = self._accept(await self._exchange("HEAD", (await self.directory()).new_nonce), "a nonce")
        if answer.nonce is None:
            raise Malformed(f"{self.host} sent no nonce where it was asked for one")
        return answer.nonce

    async def _exchange(self, method: str, url: str, body: bytes | None = None) -> Answer:
        self._check(url)
        # "ACME clients MUST send a User-Agent header field" (6.1)
        headers = {"User-Agent": [f"crproxy/{__version__}"]}
        if body is not None:
            headers["Content-Type"] = ["application/jose+json"]
        try:
            response = await send(self._http, method, url, headers, self._timeouts.headers, self._clock, body)
            content = await self._collect(response)
        except (*TRANSPORT_ERRORS, BodyBroke) as error:
            raise CaUnreachable(f"{self.host} cannot be asked: {describe(error)}") from error
        except BodyTooLarge as error:
            raise Malformed(f"{self.host} sent {error}") from error
        return self._answer(response, content)

    def _check(self, url: str) -> None:
        """Refuse what is no URL, and plain HTTP unless the directory is asked that way, too (6.1)."""
        origin = origin_of(url)
        if origin is None or (origin.scheme != "https" and not self._allow_http):
            raise Malformed(f"{self.host} names an address that must not be asked: {url[:200]!r}")

    def _collect(self, response: IResponse) -> Deferred[bytes]:
        """Read a body; all of it within the time that elsewhere is given to a piece."""
        idle = self._timeouts.idle
        collected = Deferred.fromCoroutine(collect(response, _ANSWER_LIMIT, idle, self._clock))
        return collected.addTimeout(idle, self._clock)

    def _answer(self, response: IResponse, body: bytes) -> Answer:
        media_type, _, _ = (field_of(response, b"content-type") or "").partition(";")
        nonce = field_of(response, b"replay-nonce") or ""
        return Answer(
            response.code,
            media_type.strip().lower(),
            field_of(response, b"location"),
            # "Clients MUST ignore invalid Replay-Nonce values." (6.5.1)
            nonce if is_base64url(nonce) else None,
            parse_retry_after(field_of(response, b"retry-after"), self._now()),
            body,
        )

    def _accept(self, answer: Answer, what: str) -> Answer:
        """Return ``answer``, or raise what it says went wrong."""
        if answer.is_success:
            return answer
        problem, wait = answer.problem, answer.retry_after
        later = "" if wait is None else f"; ask again in {wait} s"
        if answer.status == 429 or problem.kind == "rateLimited":
            raise RateLimited(
                f"{self.host} was asked too often for {what}: {problem}{later}", problem, retry_after=wait
            )
        if answer.status >= 500:
            raise CaUnreachable(f"{self.host} cannot give {what} now: {problem}{later}", retry_after=wait)
        raise Refused(f"{self.host} refuses {what}: {problem}{later}", problem, retry_after=wait)
