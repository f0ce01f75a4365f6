"""A daemon's certificates put together: the table, the files, the CA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..config import Acme, Config
from ..policy.urls import origin_of
from ..sharing import Alone, Sharing
from .certificates import BadCertificate, Certified, self_signed
from .client_hello import Hello
from .plan import NameState, Plan
from .responders import AlpnResponder, HttpResponder
from .storage import CertificateStorage
from .table import Table
from .taking import ISSUED, Taker
from .watching import Watch

if TYPE_CHECKING:
    from treq.client import HTTPClient

    from ..fleet.fleet import Membership
    from .issuer import Issuer
    from .ordering import Ordering

__all__ = ["Certificates", "names_of"]

# Is told when the files of certificates have changed.
_FILES = "certificate files"
# So many names are told one by one.
_TOLD = 3


def _few(names: list[str]) -> str:
    """Return names as a line has room for them: one cause is told once, and not for each of many."""
    more = len(names) - _TOLD
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_TOLD])} and {more} more"


def names_of(config: Config) -> tuple[str, ...]:
    """Return the host names that are answered for by TLS: the domain first, then the aliases."""
    return config.names.hosts


class Certificates(MultiService):
    """The certificates of one daemon, and what keeps them.

    Arguments:
        config: what the daemon was told.
        http: returns what reaches the CA.
        clock: the time.
        now: seconds since the epoch, by which certificates end; the clock's by default.
        sharing: has what the CA is shown; by it one worker, which asks the CA, tells the others what it got.
        membership: the fleet, of which one node asks the CA for all; None where there is none.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        http: Callable[[], HTTPClient],
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        sharing: Sharing | None = None,
        membership: Membership | None = None,
    ) -> None:
        super().__init__()
        self._sharing = sharing = sharing or Alone()
        self._clock = clock
        self._now = now or clock.seconds
        self._asks_a_ca = config.acme.directory is not None
        self._directory = config.certs or "a directory that --certs names"
        names = names_of(config)
        self.table = Table(names, self._stand_in)
        self.plan = Plan(names, self.table.has_file)
        self._alpn = AlpnResponder(sharing.records("tls-alpn-01"), self.table, clock, now=self._now)
        self._http = HttpResponder(sharing.records("http-01"))
        self._membership = membership
        self._ordering: Ordering | None = None
        self._issuer: Issuer | None = None
        self._taker: Taker | None = None
        if config.certs is not None:
            watch = Watch(Path(config.certs), self._place, clock, now=self._now, is_told=sharing.leads)
            watch.setServiceParent(self)
            # Whoever sees first that they have changed tells the others.
            sharing.on(_FILES, lambda _: watch.look(is_told=False))
        origin = None if config.acme.directory is None else origin_of(config.acme.directory)
        if config.acme.directory is None or origin is None:
            return
        storage = CertificateStorage(Path(config.data_dir), origin)
        if sharing.leads:
            self._issuer = self._make_issuer(config.acme, config.acme.directory, storage, http())
        else:
            self._taker = Taker(storage, self.table, sharing)
        # Who is to take what others put into Valkey has looked at its own disk before.
        for service in (self._issuer, self._taker, self._ordering):
            if service is not None:
                service.setServiceParent(self)

    def startService(self) -> None:
        """Look for certificates, and say for which names nothing ever brings one (IService)."""
        super().startService()
        missing = [name for name in self.table.names if self.table.certificate(name) is None]
        if missing and not self._asks_a_ca and self._sharing.leads:
            self._log.warn(
                "no certificate is here for {names}, and nothing issues one: put NAME.pem, with key and chain, into "
                "{directory}, or have a CA asked by --acme-directory",
                names=_few(missing),
                directory=self._directory,
            )

    def choose(self, hello: Hello) -> Certified | None:
        """Return what a client is shown that said ``hello``; None refuses it."""
        return self._alpn.choose(hello)

    def find_answer(self, token: str) -> str | None:
        """Return what a CA is to be shown on port 80 for ``token`` (RFC 8555, 8.3)."""
        return self._http.find(token)

    def rename(self, names: Iterable[str]) -> None:
        """Answer for other names from now on; new ones get their certificates at once."""
        kept = tuple(names)
        self.table.rename(kept)
        if self._issuer is None:
            self.plan.rename(kept)
        else:
            self._issuer.rename(kept)
        if self._ordering is not None:
            self._ordering.renamed()
        if self._taker is not None:
            self._taker.take_up(kept)

    def ends(self) -> list[tuple[str, float | None]]:
        """Return each name and, in seconds since the epoch, when its certificate ends; None where it has none."""
        found = ((name, self.table.certificate(name)) for name in self.table.names)
        return [(name, None if certified is None else certified.not_after) for name, certified in found]

    def issuers(self) -> dict[str, str]:
        """Return who has issued the certificate of each name that has one, as that says it (RFC 4514)."""
        found = ((name, self.table.certificate(name)) for name in self.table.names)
        return {name: certified.leaf.issuer.rfc4514_string() for name, certified in found if certified is not None}

    def states(self) -> list[NameState]:
        """Return how it stands with each name."""
        states = self.plan.states(self._now())
        # What the plan holds due nobody attempts where there is no issuer.
        return states if self._issuer is not None else [replace(state, next_attempt=None) for state in states]

    def _place(self, files: Mapping[str, Certified]) -> Deferred[Any]:
        self.table.place(files)
        return self._sharing.ask_all(_FILES)

    def _make_issuer(self, acme: Acme, directory: str, storage: CertificateStorage, http: HTTPClient) -> Issuer | None:
        # Their libraries take a tenth of a second, which a proxy with certificates of its own need not spend.
        from ..acme.client import AcmeClient
        from ..acme.jws import AccountKey, ExternalAccount
        from .issuer import Account, Issuer

        try:
            key = storage.account_key()
        except (OSError, BadCertificate) as error:
            self._log.error("no certificate can be asked for, because the account has no key: {error}", error=error)
            return None
        external = None
        if acme.eab_key_id is not None and acme.eab_hmac is not None:
            external = ExternalAccount.parse(acme.eab_key_id, acme.eab_hmac)

        def client(key: ec.EllipticCurvePrivateKey) -> AcmeClient:
            return AcmeClient(http, directory, AccountKey(key), self._clock, now=self._now)

        def use(key: ec.EllipticCurvePrivateKey) -> None:
            try:
                storage.keep_account_key(key)
            except OSError as error:
                self._log.error("the key of the fleet's account cannot be kept: {error}", error=error)
            issuer.use(client(key))

        responder = self._http if acme.challenge == self._http.challenge_type else self._alpn
        self._ordering = self._make_ordering(storage, key, use)
        issuer = Issuer(
            client(key),
            Account(acme.email, external),
            storage,
            self.table,
            self.plan,
            responder,
            self._clock,
            now=self._now,
            on_issued=lambda name, certified: self._sharing.tell(ISSUED, (name, certified.to_pem())),
            turn=self._ordering,
        )
        if self._ordering is not None:
            self._ordering.issuer = issuer
        return issuer

    def _make_ordering(
        self,
        storage: CertificateStorage,
        account: ec.EllipticCurvePrivateKey,
        use: Callable[[ec.EllipticCurvePrivateKey], None],
    ) -> Ordering | None:
        if self._membership is None:
            return None
        from ..fleet.sealed_values import SealedValues
        from .common_certificates import CommonCertificates
        from .ordering import Ordering

        valkey, leases = self._membership.valkey, self._membership.leases
        common = CommonCertificates(SealedValues(valkey, self._membership.secret, f"acme:{storage.ca}"), self._now)
        return Ordering(common, leases, valkey, account, use, self._clock, self._now)

    def _stand_in(self, name: str) -> Certified:
        what = (
            "until the CA has issued one"
            if self._asks_a_ca
            else "and nothing issues one: set --certs or --acme-directory"
        )
        self._log.warn(
            "{name} has no certificate, {what}: it is answered with a self-signed one, which clients refuse",
            name=name,
            what=what,
        )
        return self_signed(name, self._now())
