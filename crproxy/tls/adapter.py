"""Our ACME client as txacme's service takes one: ACME version 1's steps, made of version 2's.

txacme's own client speaks the retired version 1. Its service asks a client for challenges of a name, to answer one, to
look how that went, and for a certificate; here these are the steps of one order (RFC 8555, 7.4). A client lives for one
issuance, and so does its order.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from acme.messages import STATUS_PENDING, STATUS_VALID
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.internet.defer import Deferred, fail, succeed

from ..acme.client import AcmeClient
from ..acme.documents import Authorization, AuthorizationStatus, Challenge, Order
from ..acme.errors import Problem, Refused
from ..acme.jws import AccountKey
from .responders import NOT_NEEDED
from .turns import NotOurTurn, Turn

__all__ = ["OrderClient"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _ChallengeBody:
    """A challenge that may be chosen."""

    name: str
    typ: str
    chall: Challenge | None
    error: None = None

    def response(self, key: AccountKey) -> str:
        return "" if self.chall is None else key.key_authorization(self.chall.token)


@dataclass(frozen=True, slots=True)
class _Identifier:
    value: str


@dataclass(frozen=True, slots=True)
class _Body:
    identifier: _Identifier
    status: Any
    challenges: tuple[_ChallengeBody, ...]

    @property
    def resolved_combinations(self) -> tuple[tuple[_ChallengeBody, ...], ...]:
        """Each challenge alone is enough."""
        return tuple((challenge,) for challenge in self.challenges)


@dataclass(frozen=True, slots=True)
class _Resource:
    body: Any


@dataclass(frozen=True, slots=True)
class _Authorized:
    """An authorization, as txacme looks at it and as we go on with it."""

    body: _Body
    authorization: Authorization


class OrderClient:
    """What txacme's service takes for a client, for one issuance.

    Arguments:
        client: our own, which knows its account.
        prepare: awaited with the name before anything is asked for it: that it may wait for its turn, and that the
            account is there.
        replaced: returns the certificate that a name has now.
        gave_up: called with the name when the CA could not be told to look, upon which txacme does not say that the
            answer is not needed any more.
        under_way: holds what is being awaited, so that it can be cancelled.
        turn: says whether the CA may be asked, at each step.
    """

    def __init__(
        self,
        client: AcmeClient,
        prepare: Callable[[str], Coroutine[Any, Any, None]],
        replaced: Callable[[str], x509.Certificate | None],
        gave_up: Callable[[str, Challenge, str], None],
        under_way: set[Deferred[Any]],
        turn: Turn,
    ) -> None:
        self.key = client.key
        self._client = client
        self._prepare = prepare
        self._replaced = replaced
        self._gave_up = gave_up
        self._under_way = under_way
        self._turn = turn
        # Both come with the steps before those that use them.
        self._order: Order
        self._chain: list[_Resource]

    def register(self, registration: Any) -> Deferred[Any]:
        """Say that we are registered: we are when a name is asked for, so that a CA that is away is no error here."""
        return succeed(registration)

    def agree_to_tos(self, registration: Any) -> Deferred[Any]:
        """Say that we agreed: that is told with the registration (RFC 8555, 7.3)."""
        return succeed(registration)

    def request_challenges(self, identifier: Any) -> Deferred[_Authorized]:
        """Order a certificate; return the authorization that its name needs."""
        return self._begin(self._request_challenges(identifier.value))

    def answer_challenge(self, challenge: _ChallengeBody, response: str) -> Deferred[None]:
        """Tell the CA to look."""
        return self._begin(self._answer_challenge(challenge, response))

    def poll(self, authorized: _Authorized) -> Deferred[tuple[_Authorized, float]]:
        """Return the authorization once the CA has looked, and how long to wait before looking again: not at all."""
        return self._begin(self._poll(authorized.authorization))

    def request_issuance(self, request: Any) -> Deferred[_Resource]:
        """Return the certificate that the signing request gets, in DER."""
        return self._begin(self._issue(request.csr.public_bytes(serialization.Encoding.DER)))

    def fetch_chain(self, certificate: _Resource) -> Deferred[list[_Resource]]:
        """Return the certificates above it, which came with it."""
        return succeed(self._chain)

    def _begin(self, step: Coroutine[Deferred[Any], Any, Result]) -> Deferred[Result]:
        if not self._turn.is_ours:
            step.close()
            return fail(NotOurTurn())
        begun = Deferred.fromCoroutine(step)
        self._under_way.add(begun)
        return begun.addBoth(self._ended, begun)

    def _ended(self, result: Result, begun: Deferred[Any]) -> Result:
        self._under_way.discard(begun)
        return result

    async def _request_challenges(self, name: str) -> _Authorized:
        await self._prepare(name)
        self._order = await self._client.new_order(name, self._replaced(name))
        return _authorized(name, await self._client.authorization(self._order.authorizations[0]))

    async def _answer_challenge(self, challenge: _ChallengeBody, response: str) -> None:
        if challenge.chall is None:
            return
        try:
            await self._turn.is_told()
            await self._client.answer(challenge.chall)
        except BaseException:
            self._gave_up(challenge.name, challenge.chall, response)
            raise

    async def _poll(self, authorization: Authorization) -> tuple[_Authorized, float]:
        return _authorized(authorization.name, await self._client.validated(authorization)), 0.0

    async def _issue(self, csr: bytes) -> _Resource:
        order = await self._client.finalize(self._order, csr)
        pem = await self._client.certificate(order)
        first, *self._chain = [
            _Resource(one.public_bytes(serialization.Encoding.DER))
            for one in x509.load_pem_x509_certificates(pem.encode())
        ]
        return first


def _authorized(name: str, authorization: Authorization) -> _Authorized:
    challenges = tuple(_ChallengeBody(name, one.kind, one) for one in authorization.challenges)
    status = STATUS_PENDING
    if authorization.status is AuthorizationStatus.VALID:
        challenges, status = (_ChallengeBody(name, NOT_NEEDED, None),), STATUS_VALID
    elif not challenges:
        problem = Problem(detail="there is no way to show that the name is ours")
        raise Refused(f"the CA offers no challenge for {name}", problem)
    return _Authorized(_Body(_Identifier(name), status, challenges), authorization)
