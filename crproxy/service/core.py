"""What answers, without where it listens: cache, upstreams, logins and certificates, and the sites made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from twisted.application.service import MultiService, Service
from twisted.web.resource import Resource

from ..config import Config
from ..limits import Accounts, Fills
from ..metrics import Meters
from ..metrics.gathering import Gathering
from ..policy.audit import Record, Repeated
from ..policy.descriptors import Descriptors
from ..policy.rules import Subject
from ..pullthrough import PullThrough
from ..pullthrough.warming import Warming
from ..sharing import Alone, Sharing
from ..upstream.agent import Clients
from ..upstream.availability import Availability
from ..upstream.exchange import Exchange
from ..upstream.logins import Logins
from ..upstream.parallelism import Parallelism
from ..upstream.quotas import Quotas
from ..upstream.sockets import Sockets
from ..upstream.tokens import Tokens
from ..web.branch import Branch
from ..web.page import PageResource, ReadAuthorities
from ..web.plain import make_plain_site
from ..web.prepared import MOST_PREPARED, PreparedAnswers
from ..web.refusing import make_refusing_site
from ..web.registry import RegistryResource
from ..web.site import PlainSite, make_site
from ..web.token import TokenResource
from .auditing import AuditLog
from .caching import CacheService
from .certificates import make_certificates
from .commons import Commons
from .current_configuration import Configuration
from .descriptors import raise_limit
from .fleet import FleetService
from .login_service import LoginService
from .page_state import state_of
from .pullthrough import make_pullthrough
from .second_tier import SecondTierService
from .traffic import Traffic

if TYPE_CHECKING:
    from ..tls.certifying import Certificates
    from ..tls.plan import NameState
    from .forwarding import ForwardingService

__all__ = ["Core"]

# Bytes of answers that are kept as they go out, for each name that is answered for inside of the HTTP proxy.
_PREPARED_OF_REGISTRY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Core:
    """What answers.

    Arguments:
        configuration: the one that counts now.
        audit: has a line for each request.
        meters: count.
        gathering: has what all workers have counted.
        accounts: what clients have used of what they may.
        fills: what is being fetched for them.
        quotas: what upstreams said of ours.
        cache: what is kept.
        pullthrough: answers requests for images.
        login_service: lets clients in.
        certificates: None where there is no TLS.
        reactor: runs it all.
        now: seconds since the epoch.
        sharing: what other workers know as well.
        commons: what it has in common with other nodes.
        traffic: what clients do.
    """

    configuration: Configuration
    audit: AuditLog
    meters: Meters
    gathering: Gathering
    accounts: Accounts
    fills: Fills
    quotas: Quotas
    cache: CacheService
    pullthrough: PullThrough
    login_service: LoginService
    certificates: Certificates | None
    reactor: Any
    now: Callable[[], float]
    sharing: Sharing
    commons: Commons
    traffic: Traffic = field(default_factory=Traffic)

    @classmethod
    def make(
        cls,
        current: Configuration,
        reactor: Any,
        *,
        now: Callable[[], float] | None = None,
        sharing: Sharing | None = None,
    ) -> Self:
        """Return what answers by the configuration as it is now, not yet started.

        Arguments:
            now: seconds since the epoch; the reactor's by default.
            sharing: what other workers know as well.
        """
        sharing = sharing or Alone()
        config, now = current(), now or reactor.seconds
        bounds = Descriptors.of(raise_limit(), fleet=config.fleet is not None, store=config.storage is not None)
        fleet = None if config.fleet is None else FleetService(config, config.fleet, reactor, now, sharing, bounds)
        sharing = sharing if fleet is None else fleet.sharing
        tier = None if config.storage is None else SecondTierService(config, config.storage, reactor, now, sharing)
        redirect_ttl = None if config.storage is None or not config.storage.redirect else config.storage.redirect_ttl
        commons = Commons.of(fleet, tier, reactor, redirect_ttl)
        meters = Meters(current, sharing)
        cache = CacheService(config, reactor, now=now, sharing=sharing, elsewhere=commons.elsewhere, current=current)
        cache.rules.history.observers.append(meters.rules.moved)
        commons.attach(cache)
        accounts = Accounts(current, reactor, bounds.clients, bounds.of_client, sharing)
        sockets = Sockets(bounds.upstreams, bounds.for_client, bounds.idle)
        fills, quotas = Fills(current, sharing), Quotas(now, sharing)
        clients = Clients(reactor, config.timeouts, sockets)
        availability = Availability(clients.client, reactor, now, sharing, meters.upstreams.attempted)
        tokens = Tokens(config.timeouts, reactor, now=now, sharing=sharing, watch=availability)
        exchange = Exchange(
            clients.client,
            tokens,
            config.timeouts,
            reactor,
            accounts.from_upstream,
            meters.upstreams.attempted,
            meters.upstreams.received,
            availability,
        )
        parallelism = Parallelism(now, lambda: 0 if accounts.holds_upstreams_back else sockets.spare(), sharing)
        logins = Logins(clients.client, exchange, tokens, reactor)
        return cls(
            current,
            AuditLog(current, reactor),
            meters,
            Gathering(meters.registry, sharing, reactor),
            accounts,
            fills,
            quotas,
            cache,
            make_pullthrough(
                current,
                cache,
                exchange,
                reactor,
                fills,
                quotas,
                now=now,
                sharing=sharing,
                parallelism=parallelism,
                commons=commons,
                counted=meters.rules.decided,
            ),
            LoginService(current, logins, reactor, now=now, sharing=sharing, token_key=commons.token_key),
            make_certificates(current, clients, reactor, now, sharing, commons) if config.listen.https else None,
            reactor,
            now,
            sharing,
            commons,
        )

    def start_with(self, daemon: MultiService) -> None:
        """Let its services be those of ``daemon``."""
        # The first to start is the last to stop: what the others' ends cut has its lines.
        self.sharing.on("reopen", lambda _: self.audit.reopen())
        self.sharing.on("certificate states", lambda _: self._states())
        fleet, tier = self.commons.fleet, self.commons.tier
        tags = self.commons.tags
        services: list[Service | None] = [self.audit, fleet, self.cache, tags, self.login_service, self.certificates]
        if tier is not None:
            services[2:3] = [tier.beside(self.cache)]
        for service in services:
            if service is not None:
                service.setServiceParent(daemon)

    def observe(self, record: Record) -> None:
        """Write down and count a request that is over."""
        # Seconds by the reactor's clock, which knows no date.
        record = replace(record, moment=self.now() - record.seconds)
        self.meters.requests.observe(record)
        self.audit.observe(record)
        self.traffic.observe(record)

    def observe_again(self, repeated: Repeated, client: str | None) -> None:
        """Write down and count a request that was answered before, and now came again from ``client``."""
        self.meters.requests.observe(repeated.record)
        self.audit.observe_again(repeated, self.now(), client)
        self.traffic.observe_again(repeated.record, self.now(), client)

    def ends(self) -> list[tuple[str, float | None]]:
        """Return each name that has, or shall have, a certificate, and when that ends, in seconds since 1970."""
        return [] if self.certificates is None else self.certificates.ends()

    def _states(self) -> list[NameState]:
        return [] if self.certificates is None else self.certificates.states()

    def site(self, authorities: ReadAuthorities = tuple) -> PlainSite:
        """Return the site of the registry, and of the page for people.

        Arguments:
            authorities: returns the CAs that clients of the HTTP proxy are to trust.
        """
        state = state_of(self.cache.store, self.ends, self.meters.upstreams, self.gathering.known, self.commons.state)
        page = PageResource(self.configuration, state, authorities, self.accounts.check_request)
        return self._site_of(page, self.configuration)

    def forwarding(self) -> ForwardingService | None:
        """Return the HTTP proxy; None where there is none."""
        if not self.configuration().forward.is_on:
            return None
        # Its libraries take time and memory, which others need not spend.
        from .forwarding import ForwardingService

        login, make_site = self.login_service.login, self._registry_site
        membership = None if self.commons.fleet is None else self.commons.fleet.membership
        return ForwardingService(
            self.configuration, login, make_site, self.observe, self.reactor, self.now, self.sharing, membership
        )

    def _registry_site(self, configuration: Callable[[], Config]) -> PlainSite:
        """Return the site that answers by another configuration, for programs alone."""
        # There is one for each name that is answered for.
        return self._site_of(Branch(), configuration, most=_PREPARED_OF_REGISTRY)

    def _site_of(self, page: Resource, configuration: Callable[[], Config], most: int = MOST_PREPARED) -> PlainSite:
        login = self.login_service.login.by(configuration)
        registry = RegistryResource(configuration, login, self.pullthrough, self.accounts)
        tokens = TokenResource(configuration, login, self.accounts, self.reactor, now=self.now)
        site = make_site(page, registry, tokens, self.reactor, configuration().timeouts.write, self.observe)
        site.trusted = lambda: configuration().listen.trusted_proxies
        site.under_way = self.traffic.under_way
        site.prepared = PreparedAnswers(configuration, self.accounts, self.observe_again, self.now, most=most)
        return site

    def plain_site(self, site: PlainSite) -> PlainSite:
        """Return what is answered in the clear; where there is TLS, ``site`` itself is only if that is configured."""
        if self.certificates is None:
            return site
        config = self.configuration()
        otherwise = site.resource if config.listen.serve_plain else None
        _, port = config.reached_at
        find_answer = self.certificates.find_answer
        plain = make_plain_site(find_answer, otherwise, self.configuration, port, self.reactor, self.observe)
        plain.under_way = self.traffic.under_way
        return plain

    def refusing_site(self) -> PlainSite:
        """Return the site of connections that are too many."""
        return make_refusing_site(self.reactor, lambda: self.configuration().listen.trusted_proxies, self.observe)

    def warming(self) -> Warming:
        """Return what pulls images for nobody: those that clients may have."""
        return Warming(
            self.pullthrough,
            self.cache.store,
            lambda repository: self.configuration().check(Subject(repository)),
            self.reactor,
        )
