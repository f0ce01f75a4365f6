"""Certificates from a CA, for every name that is to have one, in time and not too often.

txacme's service does the scheduling over our own ACME client; the plan says for which names, and when.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from txacme.interfaces import ICertificateStore
from txacme.service import AcmeIssuingService
from zope.interface import implementer

from ..acme.client import AcmeClient
from ..acme.documents import Challenge
from ..acme.errors import AcmeError, CaUnreachable, RateLimited, Refused
from ..acme.jws import ExternalAccount
from ..policy.shared_certificates import Attempt
from ..upstream.errors import is_of_trust
from ..upstream.single_flight import SingleFlight
from .adapter import OrderClient
from .advice import advice
from .certificates import Certified, new_key
from .concurrency import ConcurrencyLimit
from .plan import Plan
from .renewal_information import RenewalInformation
from .responders import NothingResponder
from .storage import CertificateStorage
from .table import Table
from .taking import take_kept
from .turns import Always, NotOurTurn, Turn

__all__ = ["Account", "Issuer"]

# txacme looks by itself this often; what is due in between is begun on time, by the plan.
_CHECK_INTERVAL = datetime.timedelta(hours=1)
# Names that are worked at at a time.
_AT_ONCE = 3
# No timer of ours sleeps for longer, so that a clock that is set is noticed.
_LONGEST_SLEEP = 3600.0
# Moments of a window that may be chosen.
_GRAINS = 10_000


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks the CA.

    Arguments:
        email: where the CA writes to; None leaves it out.
        external: the account at the CA that ours is bound to.
    """

    email: str | None = None
    external: ExternalAccount | None = None

    @property
    def contact(self) -> tuple[str, ...]:
        """The account's contact URLs."""
        return () if self.email is None else (f"mailto:{self.email}",)


class Issuer(MultiService):
    """Keeps every name supplied with a certificate.

    Arguments:
        client: asks the CA.
        account: who asks.
        storage: where certificates are kept.
        table: where they are shown.
        plan: which names, and when.
        responder: shows the CA that a name is ours.
        clock: the time.
        now: seconds since the epoch, by which certificates end; the clock's by default.
        on_issued: is called with each certificate that it got, and the name that it is for.
        turn: says when the CA may be asked for certificates; always by default.
    """

    _log = Logger()

    def __init__(
        self,
        client: AcmeClient,
        account: Account,
        storage: CertificateStorage,
        table: Table,
        plan: Plan,
        responder: Any,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        on_issued: Callable[[str, Certified], object] = lambda name, certified: None,
        turn: Turn | None = None,
    ) -> None:
        super().__init__()
        self._turn = turn or Always()
        self._on_issued = on_issued
        self._client = client
        self._account = account
        self._storage = storage
        self._table = table
        self.plan = plan
        self._responder = responder
        self._clock = clock
        self._now = now or clock.seconds
        self._concurrency = ConcurrencyLimit(_AT_ONCE, clock)
        self._timer: IDelayedCall | None = None
        self._under_way: set[Deferred[Any]] = set()
        self._registered = False
        self._registrations: SingleFlight[str, None] = SingleFlight()
        self._renewal_information = RenewalInformation()
        self._consulting = False
        self._service = AcmeIssuingService(
            cert_store=_Store(self),
            client_creator=self._order_client,
            clock=clock,
            responders=[responder, NothingResponder()],
            check_interval=_CHECK_INTERVAL,
            panic=self._failed,
            generate_key=new_key,
        )
        # It would take its clock's time for the date.
        self._service._now = self._today
        self._service.setServiceParent(self)

    def _today(self) -> datetime.datetime:
        """Return the time as txacme has it: UTC, without saying so."""
        return datetime.datetime.fromtimestamp(self._now(), datetime.UTC).replace(tzinfo=None)

    def startService(self) -> None:
        """Take up what is kept, and begin (IService)."""
        for name in self.plan.names:
            self._load(name)
        super().startService()
        self._arm()

    def stopService(self) -> Any:
        """Begin no more, and wait for nothing that is under way (IService)."""
        self._disarm()
        stopped = super().stopService()
        for step in tuple(self._under_way):
            step.cancel()
        return stopped

    def rename(self, names: Iterable[str]) -> None:
        """Keep other names supplied from now on, new ones at once."""
        known = set(self.plan.names)
        self.plan.rename(names)
        for name in self.plan.names:
            if name not in known:
                self._load(name)
        self.begin_due()

    # What a fleet does with it

    def use(self, client: AcmeClient) -> None:
        """Ask the CA by another account from now on; what is under way goes on."""
        self._client, self._registered = client, False

    def held(self, name: str) -> Certified | None:
        """Return the certificate that was issued for ``name``, or taken."""
        return self._table.issued(name)

    def take(self, name: str, certified: Certified) -> None:
        """Keep and show what another node got, unless a newer one has come."""
        held = self.held(name)
        if held is not None and held.version >= certified.version:
            return
        self._put(name, certified)
        self.plan.took(name, certified.not_before, certified.not_after)
        until = _date(certified.not_after)
        self._log.info("{name} has a certificate until {until}, from another node", name=name, until=until)
        self._arm()

    def drop_orders(self) -> None:
        """Go on with nothing that is under way: it is another node's turn."""
        for step in tuple(self._under_way):
            step.cancel()
            if step in self._under_way:
                # A look that fails is made again (AcmeClient): what is cancelled now is the pause before that.
                step.cancel()

    def begin_due(self) -> None:
        """Begin what is due."""
        for name in self.due():
            self._service.issue_cert(name).addErrback(self._failed, name)
        self._arm()

    # What txacme's service is given

    def due(self) -> list[str]:
        """Return the names for which it is to get a certificate now, which is under way from then on."""
        names = self.plan.due(self._now()) if self._turn.is_ours else []
        for name in names:
            self.plan.began(name)
        return names

    def keep(self, name: str, certified: Certified) -> None:
        """Keep and show what it got."""
        self._put(name, certified)
        trouble = self.plan.done(name, certified.not_before, certified.not_after, self._now())
        self._concurrency.release(name)
        self._log.info("{name} has a certificate until {until}", name=name, until=_date(certified.not_after))
        if trouble is not None:
            self._log.error("{name}: {trouble}", name=name, trouble=trouble)
        self._turn.issued(name)
        self._arm()

    def _put(self, name: str, certified: Certified) -> None:
        try:
            self._storage.keep(name, certified)
        except OSError as error:
            self._log.error(
                "the certificate of {name} cannot be kept, so the next start asks for another: {error}",
                name=name,
                error=error,
            )
        self._table.issue(name, certified)
        self._on_issued(name, certified)

    def _order_client(self) -> Deferred[OrderClient]:
        steps = (self._prepare, self._replaced, self._gave_up, self._under_way, self._turn)
        return succeed(OrderClient(self._client, *steps))

    async def _prepare(self, name: str) -> None:
        await self._concurrency.acquire(name, self.plan.rank(name))
        if self.plan.is_paused(self._now()) or not self._turn.is_ours:
            raise NotOurTurn
        if not self._registered:
            await self._registrations.run("account", self._register)

    async def _register(self) -> None:
        await self._client.new_account(self._account.contact, terms_agreed=True, external=self._account.external)
        self._registered = True

    def _replaced(self, name: str) -> x509.Certificate | None:
        certified = self._table.certificate(name)
        return None if certified is None else certified.leaf

    def _gave_up(self, name: str, challenge: Challenge, response: str) -> None:
        self._responder.stop_responding(name, challenge, response)

    def _failed(self, failure: Failure, name: str) -> None:
        """Note why there is no certificate, and plan the next attempt."""
        if failure.check(CancelledError) and not self.running:
            return
        if failure.check(NotOurTurn) or not self._turn.is_ours:
            self.plan.put_off(name)
        else:
            self._note(failure, name)
        # Whoever comes next is to know of it.
        self._concurrency.release(name)
        self._arm()

    def _note(self, failure: Failure, name: str) -> None:
        """Say why there is no certificate, and when the next attempt is."""
        now, error = self._now(), failure.value
        retry_after = error.retry_after if isinstance(error, AcmeError) else None
        why = str(error) if isinstance(error, AcmeError) else f"{type(error).__name__}: {error}"
        of_account = not self._registered and isinstance(error, Refused)
        # Without an account no name gets anything.
        if of_account or isinstance(error, CaUnreachable | RateLimited):
            upcoming = self.plan.ca_failed(name, now, why, retry_after)
            self._turn.failed(None, Attempt(self.plan.ca_failures, upcoming, why))
        else:
            upcoming = self.plan.failed(name, now, why, retry_after)
            self._turn.failed(name, Attempt(self.plan.failures(name), upcoming, why))
        hint = ""
        if isinstance(error, Refused):
            kind = error.problem.kind
            hint = advice(kind, self._responder.challenge_type, name, of_account=of_account)
            # A CA may forget an account.
            self._registered = self._registered and kind != "accountDoesNotExist"
        elif isinstance(error, CaUnreachable) and is_of_trust(error.__cause__):
            hint = advice("untrusted", self._responder.challenge_type, name)
        self._log.error(
            "{name} has no new certificate: {why}{hint}; the next attempt is at {upcoming}",
            name=name,
            why=why,
            hint=f". {hint}" if hint else "",
            upcoming=_date(upcoming),
        )

    # When

    def _arm(self) -> None:
        self._disarm()
        upcoming = self.plan.next_time()
        if upcoming is not None and self.running:
            # What is due when it is not our turn is begun when it is.
            wait = max(0.0, upcoming - self._now()) or (0.0 if self._turn.is_ours else _LONGEST_SLEEP)
            wait = min(wait, _LONGEST_SLEEP)
            self._timer = self._clock.callLater(wait, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.begin_due()
        if not self._consulting:
            self._consulting = True
            Deferred.fromCoroutine(self._consult())

    async def _consult(self) -> None:
        """Ask the CA when it wants certificates renewed (RFC 9773), for each as often as it likes to be asked."""
        try:
            for name in self._renewal_information.due(self.plan.names, self._now()):
                leaf = self._replaced(name)
                info = None if leaf is None else await self._client.renewal_info(leaf)
                if info is not None:
                    self.plan.advise(name, info.moment(secrets.randbelow(_GRAINS) / _GRAINS).timestamp())
                self._renewal_information.asked(name, self._now(), None if info is None else info.ask_again)
        except AcmeError as error:
            # It is a service besides: the last third of its life comes for each without it.
            self._log.info("the CA does not say when to renew: {error}", error=error)
        finally:
            self._consulting = False
            self._arm()

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _load(self, name: str) -> None:
        certified = take_kept(name, self._storage, self._table)
        if certified is not None:
            self.plan.holds(name, certified.not_before, certified.not_after)


@implementer(ICertificateStore)
class _Store:
    """What txacme's service takes for a store: an empty entry is a name that is to get a certificate now."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def get(self, server_name: str) -> Deferred[Any]:
        """Nothing is had from here (ICertificateStore)."""
        raise KeyError(server_name)

    def store(self, server_name: str, pem_objects: list[Any]) -> Deferred[None]:
        """Keep a certificate (ICertificateStore)."""
        self._issuer.keep(server_name, Certified.from_pem(b"".join(one.as_bytes() for one in pem_objects)))
        return succeed(None)

    def as_dict(self) -> Deferred[dict[str, list[Any]]]:
        """Return the names that are due, without anything that would be measured (ICertificateStore)."""
        return succeed({name: [] for name in self._issuer.due()})


def _date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
