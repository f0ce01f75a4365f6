"""What the daemon was told, as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..oci.digests import Digest
from ..oci.names import Registry, Repository, Tag
from ..policy.access import Access
from ..policy.aliases import BUILT_IN
from ..policy.clients import Network
from ..policy.connecting import why_not_answered
from ..policy.endpoints import parse_endpoint
from ..policy.freshness import Lifetimes
from ..policy.hosts import may_be_asked
from ..policy.proxies import DIRECT, Proxies
from ..policy.quirks import quirks
from ..policy.routing import Names
from ..policy.rule_texts import denied
from ..policy.rules import NO_RULE, Action, Decision, Rules, Subject
from ..policy.serving import Serves
from ..policy.urls import origin_of
from .client_values import Clients
from .fleet_values import Fleet, Storage
from .forward_values import Forward
from .limits import Limits
from .operation_values import Admin, Audit, Log, Metrics, Page

__all__ = [
    "LETSENCRYPT",
    "LOCAL_HTTP",
    "Acme",
    "Admin",
    "Audit",
    "Cache",
    "Config",
    "Listen",
    "Metrics",
    "Page",
    "Timeouts",
    "Upstream",
]

LOCAL_HTTP = ("tcp:5000:interface=127.0.0.1",)
_HTTP_PORT, _HTTPS_PORT = 80, 443
LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long upstreams and clients may take, in seconds; none is infinite.

    Arguments:
        connect: until a TCP connection stands; a TLS handshake counts with the headers.
        headers: from the request until the answer's header is there.
        idle: between two pieces of a body, while we are ready to take it.
        write: until a client takes something of an answer.
    """

    connect: float = 10.0
    headers: float = 30.0
    idle: float = 60.0
    write: float = 120.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """How one registry is reached: at this endpoint first, where it has several.

    Arguments:
        registry: which one.
        endpoint: URL of its root, without a trailing slash.
        username, password: for its own realm, and Basic; None asks anonymously.
        retries: how many attempts may follow a failed one.
        keepalive: whether connections are kept for the next request.
        private_hosts: hosts that may have addresses which are not public: the endpoint's where it is written in the
            configuration, and those listed there.
        token_hosts: hosts of another domain whose token services may see the credentials.
        authorities: certificates, in PEM, that the endpoint's host and the private hosts are trusted by, in place of
            the system's.
        proxies: what it is reached through.
        named: the configuration, or the built-in table, knows it; through a proxy no other is reached.
        passthrough: clients log in there with credentials of their own; it has one endpoint then.
        redirect_blobs: clients are sent to where the registry redirects for blobs, in place of being sent these.
        connections: over how many at the most a large blob comes where one is slow.
        trust_tags: what it says of tags counts; of a mirror that lags behind only what is asked for by its digest does.
        fallbacks: the registry's further endpoints, in the order in which they are asked; they have none themselves.
    """

    registry: Registry
    endpoint: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    retries: int = 3
    keepalive: bool = True
    private_hosts: frozenset[str] = frozenset()
    token_hosts: frozenset[str] = frozenset()
    authorities: str | None = field(default=None, repr=False)
    proxies: Proxies = DIRECT
    named: bool = True
    passthrough: bool = False
    redirect_blobs: bool = False
    connections: int = 4
    trust_tags: bool = True
    fallbacks: tuple[Upstream, ...] = ()

    @property
    def endpoints(self) -> tuple[Upstream, ...]:
        """All endpoints of the registry, in the order in which they are asked."""
        return (self, *self.fallbacks)

    @property
    def is_registrys_own(self) -> bool:
        """Whether the endpoint is where the registry is for everybody, and no mirror."""
        return origin_of(self.endpoint) == origin_of(Upstream.public(self.registry).endpoint)

    @property
    def allow_http(self) -> bool:
        """Whether this upstream may be spoken to in the clear."""
        return self.endpoint.startswith("http://")

    @property
    def own_hosts(self) -> frozenset[str]:
        """The hosts that ``authorities`` vouch for."""
        origin = origin_of(self.endpoint)
        return self.private_hosts if origin is None else self.private_hosts | {origin.host}

    @property
    def login(self) -> str:
        """What names this endpoint's username and password, without giving them away; empty where there are none."""
        return "" if self.username is None else _named(f"{self.username}\0{self.password}")

    @property
    def credential(self) -> str:
        """What names the logins of all endpoints together; empty where there are none.

        The index has it beside what the credential opened, so that another account does not inherit that. An endpoint
        more that is asked anonymously opens nothing, and changes nothing of it.
        """
        logins = sorted({endpoint.login for endpoint in self.endpoints} - {""})
        return _named("\0".join(logins)) if len(logins) > 1 else "".join(logins)

    @classmethod
    def public(cls, registry: Registry, proxies: Proxies = DIRECT, *, named: bool = True) -> Upstream:
        """Return how a registry is reached of which the configuration says nothing."""
        host = quirks(registry).host or registry.name
        return cls(registry, f"https://{host}", proxies=proxies, named=named)


def _named(secret: str) -> str:
    """Return what names a secret: 32 bits of a hash tell an operator's few accounts apart."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Cache:
    """What is kept.

    Arguments:
        size: bytes on disk at the most.
        lifetimes: how long tags count.
        verify_every: seconds within which all of it is read again; None is never.
    """

    size: int = 20 * 1024**3
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    verify_every: float | None = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Acme:
    """Where certificates come from.

    Arguments:
        directory: the URL of the CA's directory; None asks no CA.
        email: where the CA writes to.
        challenge: how names are shown to be ours: ``http-01`` or ``tls-alpn-01``.
        eab_key_id, eab_hmac: the account at the CA that ours is bound to (RFC 8555, 7.3.4); the key in base64url.
        authorities: certificates, in PEM, that the CA's own server is trusted by, in place of the system's.
    """

    directory: str | None = LETSENCRYPT
    email: str | None = None
    challenge: str = "http-01"
    eab_key_id: str | None = None
    eab_hmac: str | None = field(default=None, repr=False)
    authorities: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the daemon listens: Twisted's endpoint strings.

    Arguments:
        http: in the clear.
        https: with TLS.
        admin: for the operator's commands; None is in the data directory.
        serve_plain: the http endpoints serve images, too, where there are https ones.
        trusted_proxies: whose X-Forwarded-For and PROXY headers count.
        grace: seconds that transfers which are under way have to finish when the daemon stops.
    """

    http: tuple[str, ...] = LOCAL_HTTP
    https: tuple[str, ...] = ()
    admin: str | None = None
    serve_plain: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    grace: float = 20.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon was told.

    Arguments:
        certs: a directory of certificates that the operator keeps; None where there is none.
        storage: the second tier; None where there is none.
        workers: processes that serve clients; None is one for each core.
        fleet: the other nodes; None where there are none.
        forward: the HTTP proxy for clients.
        log: the daemon's own.
        rules: what may be pulled, by whom, and on which conditions.
        pins: by which digest tags are answered, whatever upstream says.
    """

    names: Names = field(default_factory=Names)
    listen: Listen = field(default_factory=Listen)
    upstreams: Mapping[Registry, Upstream] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    data_dir: str = "."
    cache: Cache = field(default_factory=Cache)
    access: Access = field(default_factory=Access)
    clients: Clients = field(default_factory=Clients)
    proxies: Proxies = DIRECT
    certs: str | None = None
    acme: Acme = field(default_factory=Acme)
    limits: Limits = field(default_factory=Limits)
    audit: Audit = field(default_factory=Audit)
    page: Page = field(default_factory=Page)
    admin: Admin = field(default_factory=Admin)
    metrics: Metrics = field(default_factory=Metrics)
    storage: Storage | None = None
    workers: int | None = 1
    fleet: Fleet | None = None
    forward: Forward = field(default_factory=Forward)
    log: Log = field(default_factory=Log)
    rules: Rules = field(default_factory=Rules)
    pins: Mapping[tuple[Repository, Tag], Digest] = field(default_factory=dict)

    @property
    def reached_at(self) -> tuple[str, int]:
        """The scheme and the port by which clients reach it, as far as the configuration can tell.

        A domain without TLS here has its TLS ended by somebody else, at the usual port.
        """
        if self.names.domain is not None:
            port = parse_endpoint(self.listen.https[0]).port if self.listen.https else None
            return "https", _HTTPS_PORT if port is None else port
        port = parse_endpoint(self.listen.http[0]).port if self.listen.http else None
        return "http", _HTTP_PORT if port is None else port

    @property
    def answered(self) -> frozenset[Registry]:
        """The registries in whose place clients of the HTTP proxy are answered."""
        # Without a domain there are no aliases; what they would be is asked for all the same.
        aliases = BUILT_IN.values() if self.names.domain is None else self.names.aliases.values()
        named = {*aliases, *self.upstreams, *self.forward.registries}
        if self.names.default_registry is not None:
            named.add(self.names.default_registry)
        return frozenset(registry for registry in named if why_not_answered(registry) is None)

    @property
    def answered_hosts(self) -> frozenset[str]:
        """The host names of those, which the HTTP proxy's CA is to sign for."""
        return frozenset(host for registry in self.answered for host in registry.hosts)

    @property
    def client_endpoints(self) -> tuple[tuple[str, str], ...]:
        """Where clients are listened for, each as Twisted writes it, and the scheme that is spoken there."""
        http, https = (*self.listen.http, *self.forward.listen), (*self.listen.https, *self.forward.listen_tls)
        return *((one, "http") for one in http), *((one, "https") for one in https)

    def upstream(self, registry: Registry) -> Upstream:
        """Return how ``registry`` is reached."""
        return self.upstreams.get(registry) or Upstream.public(registry, self.proxies, named=self._names(registry))

    def serves(self, client: str | None = None) -> Serves:
        """Return what is served to ``client`` (an IP address, where it is known)."""
        return Serves(
            lambda registry: self.access.check_registry(registry, client),
            lambda repository: self.check(Subject(repository, client)),
            self._may_ask,
        )

    def _may_ask(self, registry: Registry) -> bool:
        """Tell whether ``registry`` is at a host that is asked, as far as its name tells."""
        return any(
            may_be_asked(endpoint.endpoint, endpoint.private_hosts, named=endpoint.named)
            for endpoint in self.upstream(registry).endpoints
        )

    def credential(self, registry: Registry) -> str:
        """Return what names the credential that ``registry`` is asked with; empty where it is asked anonymously."""
        return self.upstream(registry).credential

    def is_open(self, repository: Repository) -> bool:
        """Tell whether every client may pull from ``repository``, which its registry is asked for anonymously."""
        is_open = self.access.is_open(repository) and self.rules.is_open(repository)
        return is_open and not self.credential(repository.registry)

    def check(self, subject: Subject) -> None:
        """Raise DENIED unless ``subject`` may have something of its repository, by the lists and by the rules."""
        self.access.check(subject.repository, subject.client)
        rule = self.decide(subject).rule
        if rule is not None and rule.action is Action.DENY:
            raise denied(rule, subject.repository)

    def decide(self, subject: Subject) -> Decision:
        """Return which rule decides about ``subject``: none, where the lists let it have everything."""
        if not self.rules.rules or self.access.is_privileged(subject.repository, subject.client):
            return NO_RULE
        return self.rules.decide(subject)

    def may_share(self, registry: Registry) -> bool:
        """Tell whether who is let in at ``registry`` may have what other registries gave to everybody.

        Where clients log in at a registry of their own choice, that is no login to this proxy's others.
        """
        return self.clients.users is None or not self.upstream(registry).passthrough

    def _names(self, registry: Registry) -> bool:
        return (
            registry in _BUILT_IN_REGISTRIES
            or registry == self.names.default_registry
            or registry in self.names.aliases.values()
            or registry in self.access.named
            or registry in self.forward.registries
        )


_BUILT_IN_REGISTRIES = frozenset(BUILT_IN.values())
