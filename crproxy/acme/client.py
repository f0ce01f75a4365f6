"""What a CA is asked for, one method for each: an account, an order, its authorizations, the certificate.

RFC 8555, 7, and RFC 9773. Knows nothing of how a challenge is shown, of files, and of when to renew.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..config import Timeouts
from .conversation import Answer, Conversation
from .documents import (
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    Directory,
    Order,
    OrderStatus,
)
from .errors import CaUnreachable, Malformed, Problem, RateLimited, Refused, StillPending
from .jws import AccountKey, ExternalAccount, base64url
from .renewal import RenewalInfo, certificate_id

__all__ = ["AcmeClient"]

# Signed requests under way at a time, all names together.
_AT_A_TIME = 2
# Seconds between two looks at what the CA has under way, where it does not say itself: twice as long each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

_UNFINISHED = (OrderStatus.PENDING, OrderStatus.READY, OrderStatus.PROCESSING)

Stage = TypeVar("Stage", Order, Authorization)


class AcmeClient:
    """One account at one CA.

    Arguments:
        http: how the CA is reached.
        directory_url: where the CA's directory is.
        key: the account's.
        clock: for timeouts and pauses.
        now: seconds since the epoch, for dates in Retry-After; the clock's by default.
        timeouts: how long an answer may take.
        gate: how many signed requests may be under way; to be shared by all clients of one CA.
        patience: the seconds that the CA has to validate a name, or to issue a certificate.

    Every method raises AcmeError, in one of its kinds.
    """

    def __init__(
        self,
        http: HTTPClient,
        directory_url: str,
        key: AccountKey,
        clock: IReactorTime,
        *,
        timeouts: Timeouts | None = None,
        gate: DeferredSemaphore | None = None,
        patience: float = 300.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.key = key
        self._clock = clock
        self._patience = patience
        self._conversation = Conversation(
            http,
            directory_url,
            key,
            clock,
            timeouts or Timeouts(),
            gate or DeferredSemaphore(_AT_A_TIME),
            now=now or clock.seconds,
        )
        self._account: Account | None = None

    async def directory(self) -> Directory:
        """Return where the CA is asked for what, and what it wants of its clients."""
        return await self._conversation.directory()

    async def new_account(
        self, contact: Sequence[str] = (), *, terms_agreed: bool, external: ExternalAccount | None = None
    ) -> Account:
        """Return the account of our key, made if there is none yet; what is asked for later is asked for by it.

        Arguments:
            contact: URLs, such as ``mailto:ops@example.com``.
            terms_agreed: whether the operator agrees to the CA's terms of service.
            external: the account at the CA that this one is to be bound to.
        """
        # What an external account is bound with may be good for one account only: one does not try it in vain.
        account = await self.existing_account() if external is not None else None
        if account is None:
            account = await self._create_account(contact, terms_agreed, external)
        return self._use(account)

    async def existing_account(self) -> Account | None:
        """Return the account of our key, or None where the CA knows of none (RFC 8555, 7.3.1)."""
        url = (await self.directory()).new_account
        try:
            answer = await self._conversation.post(url, {"onlyReturnExisting": True}, None, "our account")
        except Refused as error:
            if error.problem.kind == "accountDoesNotExist":
                return None
            raise
        return self._use(self._read_account(answer))

    async def new_order(self, name: str, replaces: x509.Certificate | None = None) -> Order:
        """Order a certificate for ``name``.

        Arguments:
            replaces: the certificate that it is to take the place of (RFC 9773, 5): such orders are let through first.
        """
        directory = await self.directory()
        what = f"a certificate for {name}"
        order: dict[str, Any] = {"identifiers": [{"type": "dns", "value": name}]}
        # "Clients SHOULD NOT include this field if the ACME server has not indicated that it supports this protocol"
        predecessor = certificate_id(replaces) if replaces is not None and directory.renewal_info is not None else None
        if predecessor is None:
            answer = await self._post(directory.new_order, order, what)
        else:
            answer = await self._order_replacement(directory.new_order, {**order, "replaces": predecessor}, order, what)
        return Order.parse(answer.document, self._located(answer, "an order"), answer.retry_after)

    async def order(self, url: str) -> Order:
        """Return how far the order at ``url`` is."""
        answer = await self._post(url, None, "an order")
        return Order.parse(answer.document, url, answer.retry_after)

    async def authorization(self, url: str) -> Authorization:
        """Return how far the authorization at ``url`` is."""
        answer = await self._post(url, None, "an authorization")
        return Authorization.parse(answer.document, url, answer.retry_after)

    async def answer(self, challenge: Challenge) -> Challenge:
        """Tell the CA that it may look for what ``challenge`` asks for (RFC 8555, 7.5.1)."""
        return Challenge.parse((await self._post(challenge.url, {}, f"a look at {challenge.kind}")).document)

    async def validated(self, authorization: Authorization) -> Authorization:
        """Return ``authorization`` once the CA has seen that the name is ours; raise Refused where it has not."""
        ended = await self._until(
            authorization,
            lambda: self.authorization(authorization.url),
            lambda found: found.status is not AuthorizationStatus.PENDING,
            f"validated {authorization.name}",
        )
        if ended.status is not AuthorizationStatus.VALID:
            self._fail(f"could not validate {ended.name}", ended.error, ended.status)
        return ended

    async def finalize(self, order: Order, csr: bytes) -> Order:
        """Return ``order`` once its certificate is there (RFC 8555, 7.4).

        Arguments:
            csr: the signing request, in DER.
        """
        if order.status is OrderStatus.PENDING:
            # It was when it was made: its names may have been validated since.
            order = await self.order(order.url)
        order = await self._settled(order, lambda found: found.status is not OrderStatus.PENDING)
        if order.status is OrderStatus.READY:
            what = f"a certificate for {', '.join(order.names)}"
            answer = await self._post(order.finalize, {"csr": base64url(csr)}, what)
            order = Order.parse(answer.document, order.url, answer.retry_after)
        return await self._settled(order, lambda found: found.status not in _UNFINISHED)

    async def certificate(self, order: Order) -> str:
        """Return the certificate of a valid order and its chain in PEM, and nothing else (RFC 8555, 7.4.2)."""
        if order.certificate is None:
            raise Malformed(f"{self._host} sent a valid order without a certificate")
        answer = await self._post(order.certificate, None, "a certificate")
        if answer.media_type != "application/pem-certificate-chain":
            raise Malformed(f"{self._host} sent {answer.media_type[:80]!r} where a certificate was expected")
        try:
            chain = x509.load_pem_x509_certificates(answer.body)
        except ValueError:
            raise Malformed(f"{self._host} sent something that is no certificate") from None
        # Written anew, because it goes into a file: what else there may be between the certificates does not.
        return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in chain)

    async def renewal_info(self, certificate: x509.Certificate) -> RenewalInfo | None:
        """Return when the CA wants ``certificate`` renewed; None where it does not say such things."""
        url, identity = (await self.directory()).renewal_info, certificate_id(certificate)
        if url is None or identity is None:
            return None
        # RFC 9773, 4.1: url = renewalInfo || '/' || base64url(AKI keyIdentifier) || '.' || base64url(Serial)
        answer = await self._conversation.get(f"{url.rstrip('/')}/{identity}", "renewal information")
        return RenewalInfo.parse(answer.document, answer.retry_after)

    @property
    def _host(self) -> str:
        return self._conversation.host

    async def _create_account(
        self, contact: Sequence[str], terms_agreed: bool, external: ExternalAccount | None
    ) -> Account:
        directory = await self.directory()
        if directory.terms_of_service is not None and not terms_agreed:
            terms = Problem(
                "userActionRequired", f"its terms of service must be agreed to: {directory.terms_of_service}"
            )
            raise Refused(f"{self._host} refuses a new account: {terms}", terms)
        if directory.external_account_required and external is None:
            unknown = Problem("externalAccountRequired", "it wants the key identifier and HMAC key of an account there")
            raise Refused(f"{self._host} refuses a new account: {unknown}", unknown)
        account: dict[str, Any] = {"termsOfServiceAgreed": terms_agreed}
        if contact:
            account["contact"] = list(contact)
        if external is not None:
            account["externalAccountBinding"] = external.bind(self.key, directory.new_account)
        return self._read_account(await self._conversation.post(directory.new_account, account, None, "a new account"))

    def _read_account(self, answer: Answer) -> Account:
        return Account.parse(answer.document, self._located(answer, "an account"))

    def _use(self, account: Account) -> Account:
        if account.status is not AccountStatus.VALID:
            self._fail("does not take our account", None, account.status)
        self._account = account
        return account

    async def _post(self, url: str, payload: object, what: str) -> Answer:
        if self._account is None:
            await self.existing_account()
        if self._account is None:
            missing = Problem("accountDoesNotExist", "our key has no account there yet")
            raise Refused(f"{self._host} cannot be asked for {what}: {missing}", missing)
        return await self._conversation.post(url, payload, self._account.url, what)

    async def _order_replacement(self, url: str, replacing: object, plain: object, what: str) -> Answer:
        try:
            return await self._post(url, replacing, what)
        except RateLimited:
            raise
        except Refused:
            # Some other order has replaced it already, it is of another account, or of another CA (RFC 9773, 5). If it
            # is for anything else that the CA refuses, it does so again.
            return await self._post(url, plain, what)

    async def _settled(self, order: Order, far_enough: Callable[[Order], bool]) -> Order:
        names = ", ".join(order.names)
        order = await self._until(order, lambda: self.order(order.url), far_enough, f"issued a certificate for {names}")
        if order.status is OrderStatus.INVALID:
            self._fail(f"could not issue a certificate for {names}", order.error, order.status)
        return order

    async def _until(
        self,
        found: Stage,
        look: Callable[[], Coroutine[Deferred[Any], Any, Stage]],
        far_enough: Callable[[Stage], bool],
        what: str,
    ) -> Stage:
        """Look again until it is far enough, as often as the CA wants, and no longer than we have patience.

        A look that fails is no reason to give up what the CA has under way.
        """
        deadline = self._clock.seconds() + self._patience
        pause = _FIRST_PAUSE
        wait, trouble = found.retry_after, ""
        while not far_enough(found):
            # Retry-After may be 0.
            seconds = pause if wait is None else max(wait, _FIRST_PAUSE)
            if self._clock.seconds() + seconds > deadline:
                raise StillPending(f"{self._host} has not {what} in {self._patience:g} s{trouble}", retry_after=wait)
            await deferLater(self._clock, seconds)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                found = await look()
                wait, trouble = found.retry_after, ""
            except (CaUnreachable, RateLimited) as error:
                wait, trouble = error.retry_after, f"; the last time, {error}"
        return found

    def _located(self, answer: Answer, what: str) -> str:
        if answer.location is None:
            raise Malformed(f"{self._host} sent {what} without saying where it is")
        return answer.location

    def _fail(self, what: str, problem: Problem | None, status: str) -> NoReturn:
        problem = problem or Problem(detail=f"it is {status}")
        raise Refused(f"{self._host} {what}: {problem}", problem)
