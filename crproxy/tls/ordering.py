"""One node of a fleet asks the CA, and all have what it gets.

Each node looks each second what others have put into Valkey. One that needs a certificate takes a lease, looks again,
and asks the CA only if it still needs it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..fleet.leases import Holder, Lease
from ..fleet.valkey import Away
from ..policy.shared_certificates import ALONE_AFTER, Attempt, asks_alone
from .common_certificates import OF_THE_CA, CommonCertificates

if TYPE_CHECKING:
    from ..fleet.leases import Leases
    from ..fleet.valkey import Valkey
    from .issuer import Issuer

__all__ = ["Ordering"]

_LEASE = "certificates"
_LOOK_SECONDS = 1.0
# Between two times that all is looked through, and put there again: Valkey may have dropped what it was given.
_ALL_SECONDS = 3600.0
# Seconds for which Valkey has to be there before anything is ordered. Others come back within two: they may have what
# is needed, and have to hear what the CA is to be answered.
_SETTLED_SECONDS = 4.0
# Seconds that Valkey may be away and nothing is said of certificates: at the start it always is.
_SAID_AFTER = 10.0
# Seconds until all nodes know an answer. It is published after 0.01 s (crproxy.fleet.telling); whether it was heard
# nobody says.
_TOLD_SECONDS = 0.3


class Ordering(Service):
    """A node's part in it: the turn (crproxy.tls.turns.Turn) of its issuer.

    Arguments:
        common: what all nodes have.
        leases: says whose turn it is.
        valkey: where both lie.
        account: the key of this node's account at the CA.
        use: is called with the key of the fleet's account, where that is another.
        clock: the time.
        now: seconds since the epoch.

    ``issuer`` is to be set before it is started: the one that asks the CA.
    """

    _log = Logger()

    def __init__(
        self,
        common: CommonCertificates,
        leases: Leases,
        valkey: Valkey,
        account: ec.EllipticCurvePrivateKey,
        use: Callable[[ec.EllipticCurvePrivateKey], None],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self.issuer: Issuer
        self._common = common
        self._leases = leases
        self._account = account
        self._use = use
        self._clock = clock
        self._now = now
        self._lease: Lease | None = None
        # Whether it was looked again since the lease was taken.
        self._is_checked = False
        self._is_alone = False
        # Since when Valkey is away, by the clock; None while it is there.
        self._away_since: float | None = None
        self._has_told = False
        # Names whose certificates are to be compared with what lies there, and attempts that are to be told of.
        self._unmet: set[str] = set()
        self._untold: dict[str, Attempt] = {}
        self._all_at = 0.0
        self._up_at = 0.0
        self._timer: IDelayedCall | None = None
        self._is_looking = False
        self._looks_again = False
        valkey.on_up(self._up)

    # Turn

    @property
    def is_ours(self) -> bool:
        """Whether the CA may be asked now (Turn)."""
        return self._is_alone or (self._is_checked and self._lease is not None and self._lease.is_ours)

    async def is_told(self) -> None:
        """Return once other nodes know the answer (Turn)."""
        if not self._is_alone:
            await deferLater(self._clock, _TOLD_SECONDS)

    def issued(self, name: str) -> None:
        """Give it to all nodes (Turn)."""
        self._unmet.add(name)
        self.look()

    def failed(self, name: str | None, attempt: Attempt) -> None:
        """Tell all nodes (Turn)."""
        if not self._is_alone:
            self._untold[OF_THE_CA if name is None else name] = attempt
            self.look()

    # Service

    def startService(self) -> None:
        """Begin to look (IService)."""
        super().startService()
        self._away_since = self._all_at = self._up_at = self._clock.seconds()
        self.look()

    def stopService(self) -> Deferred[None]:
        """Look no more, and leave the turn to others (IService)."""
        super().stopService()
        self._cancel()
        lease, self._lease = self._lease, None
        self._is_alone = False
        return Deferred.fromCoroutine(_give_back(lease)).addErrback(self._unexpected)

    def renamed(self) -> None:
        """Note that there may be names which were none before."""
        self._unmet.update(name for name in self.issuer.plan.names if self.issuer.held(name) is None)
        self.look()

    def look(self) -> None:
        """Look now, and once more where that is under way."""
        if self._is_looking or not self.running:
            self._looks_again = True
            return
        self._cancel()
        self._is_looking, self._looks_again = True, False
        Deferred.fromCoroutine(self._look()).addErrback(self._unexpected).addBoth(self._looked)

    def _up(self) -> None:
        # It may be another, or have lost what it had.
        self._all_at = self._up_at = self._clock.seconds()
        self.look()

    def _looked(self, _: object) -> None:
        self._is_looking = False
        if self.running:
            self._timer = self._clock.callLater(0.0 if self._looks_again else _LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.look()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("certificates could not be exchanged with other nodes", failure)

    # A look

    async def _look(self) -> None:
        try:
            await self._meet()
            await self._take_turns()
        except Away:
            self._leave()
            self._go_alone()
        else:
            self._away_since, self._has_told = None, False

    async def _meet(self) -> None:
        """Have what the others have, and they what is here."""
        plan = self.issuer.plan
        if self._all_at <= self._clock.seconds():
            self._common.forget()
            self._unmet.update(plan.names)
            await self._meet_account()
            self._all_at = self._clock.seconds() + _ALL_SECONDS
        changed = set(await self._common.changed())
        # Whoever was alone has to ask whose turn it is now.
        self._is_alone = False
        unmet, self._unmet = self._unmet, set()
        untold, self._untold = self._untold, {}
        names, held, take = set(plan.names), self.issuer.held, self.issuer.take
        try:
            # What others have just put there counts for them: nodes with two secrets would replace it without end.
            await self._common.meet((changed - unmet) & names, held, take, puts=False)
            await self._common.meet(unmet & names, held, take)
            for name, attempt in untold.items():
                await self._common.note(name, attempt)
        except Away:
            self._unmet |= unmet | changed
            self._untold = untold | self._untold
            raise

    async def _meet_account(self) -> None:
        key = await self._common.account_key(self._account)
        if key.private_numbers() != self._account.private_numbers():
            self._account = key
            self._use(key)

    async def _take_turns(self) -> None:
        """Ask the CA if something is due and no other node does."""
        plan = self.issuer.plan
        if self._lease is None:
            is_settled = self._clock.seconds() >= self._up_at + _SETTLED_SECONDS
            if not plan.is_busy and not (is_settled and plan.due(self._now())):
                return
            await self._take_lease()
        if self._lease is None:
            return
        if not self._is_checked:
            await self._check()
            self._is_checked = True
        if plan.due(self._now()):
            self.issuer.begin_due()
        elif not plan.is_busy and not self._unmet and not self._untold:
            lease, self._lease = self._lease, None
            await _give_back(lease)

    async def _take_lease(self) -> None:
        found = await self._leases.take(_LEASE)
        if isinstance(found, Holder):
            # What was begun alone is another's now.
            self._leave()
        elif found is not None and self.running:
            self._lease, self._is_checked = found, False
            found.lost.addCallback(self._lost, found)
        elif found is not None:
            await found.give_back()

    async def _check(self) -> None:
        """Look what was done until now by those whose turn it was."""
        plan = self.issuer.plan
        due = plan.due(self._now())
        for name, attempt in (await self._common.attempts([OF_THE_CA, *due])).items():
            if name == OF_THE_CA:
                plan.ca_told(attempt.failures, attempt.until, attempt.why)
            else:
                plan.told(name, attempt.failures, attempt.until, attempt.why)
        await self._common.meet(due, self.issuer.held, self.issuer.take)

    def _lost(self, _: None, lease: Lease) -> None:
        if self._lease is lease:
            self._lease = None
            self._leave()

    def _leave(self) -> None:
        """Go on with nothing that is under way, where it is not our turn any more."""
        if self.issuer.plan.is_busy and not self.is_ours:
            self._log.warn("it is not this node's turn any more to ask the CA: what is under way is left to others")
            self.issuer.drop_orders()

    def _go_alone(self) -> None:
        """Ask the CA without the others where they could not be asked for long."""
        since = self._away_since = self._clock.seconds() if self._away_since is None else self._away_since
        due = self.issuer.plan.due(self._now())
        if self._is_alone or not due or not self.running:
            return
        away = self._clock.seconds() - since
        if asks_alone(away):
            self._is_alone = True
            self._log.warn("Valkey is still away, and this node asks the CA alone for {names}", names=", ".join(due))
            self.issuer.begin_due()
        elif away >= _SAID_AFTER and not self._has_told:
            self._has_told = True
            self._log.warn(
                "{names} is due for a certificate, and Valkey is away: this node asks the CA alone from {moment} on",
                names=", ".join(due),
                moment=_date(self._now() + ALONE_AFTER - away),
            )


async def _give_back(lease: Lease | None) -> None:
    if lease is not None:
        await lease.give_back()


def _date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
