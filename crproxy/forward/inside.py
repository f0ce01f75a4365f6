"""What is said inside, in the place of a registry: the site that answers, in a TLS of the registry's name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from ..config import Config
from ..limits.accepting import address_of
from ..oci.names import Registry
from ..policy.redaction import escaped
from ..policy.routing import Names
from ..tls.accepting import Contexts, TLSFactory
from ..tls.certificates import Certified
from ..tls.client_hello import Hello
from ..transports.tls import TLSStream
from ..web.channel import Channel
from ..web.site import PlainSite
from .layered import Layered, LayeredContexts
from .switching import Switch

__all__ = ["Inside", "InsideConfiguration", "LetsIn"]

# Tells whether a client that was let in as some user, from some address, is let in still.
LetsIn = Callable[[str | None, str | None], bool]

# No Host is this, since all are read in lower case.
_NOWHERE = Names(domain="ANOTHER-PROXY", default_registry=None)


class InsideConfiguration:
    """The configuration as it is where a registry is answered in its place: its own host stands for it, and no other.

    Who is let in was asked before, of the proxy's client. Where the registry is not answered any more, nothing is: its
    clients may have connections from before.

    Arguments:
        current: returns the configuration that counts now.
        host: that clients ask.
        registry: what it is.
        answered: returns the registries that are answered now.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        host: str,
        registry: Registry,
        answered: Callable[[], Collection[Registry]],
    ) -> None:
        self._current = current
        self._registry = registry
        self._answered = answered
        self._names = Names(domain=host, aliases={host: registry}, default_registry=None)
        self._of: Config | None = None
        self._inside: Config | None = None

    def __call__(self) -> Config:
        """Return it."""
        config = self._current()
        if self._inside is None or self._of is not config:
            names = self._names if self._registry in self._answered() else _NOWHERE
            clients = replace(config.clients, users=None)
            self._of, self._inside = config, replace(config, names=names, clients=clients)
        return self._inside


class Inside:
    """What one client is granted: TLS in the name of ``host``, and ``site`` inside (Granted).

    Arguments:
        certified: what is shown.
        user: who the client is; None for anybody.
        lets_in: is asked again once the client speaks.
        clock: ends connections that say nothing.
        contexts: of all.
        layered: of all whose TLS is in another one.
    """

    _log = Logger()

    def __init__(
        self,
        host: str,
        certified: Certified,
        site: PlainSite,
        user: str | None,
        lets_in: LetsIn,
        clock: Any,
        contexts: Contexts,
        layered: LayeredContexts | None = None,
    ) -> None:
        self._host = host
        self._certified = certified
        self._site = _Known(site, user, lets_in)
        self._clock = clock
        self._contexts = contexts
        self._layered = layered or LayeredContexts()
        self._client: str | None = None

    def begin(self, switch: Switch) -> None:
        """Speak (Granted)."""
        transport = switch.transport
        self._client = address_of(transport.getPeer())
        if isinstance(transport, TLSStream) and not transport.is_secured:
            transport.peek()
            switch.give(self._first_words(self._contexts, switch.address))
        else:
            switch.give(Layered(self._first_words(self._layered, switch.address), self._clock))

    def abandon(self) -> None:
        """Let go (Granted)."""

    def _first_words(self, contexts: Contexts, address: IAddress | None) -> IProtocol:
        factory = TLSFactory(self._site, self._choose, self._clock, contexts, self._tell)
        return factory.buildProtocol(address)

    def _choose(self, hello: Hello) -> Certified | None:
        """Return what is shown to who asks for this host, or for none; another one's is nobody's here."""
        return self._certified if hello.server_name in (None, self._host) else None

    def _tell(self, why: str) -> None:
        self._log.warn(
            "CONNECT {host}:443 from {client}: {why}",
            host=self._host,
            client=self._client or "a socket of this machine",
            why=escaped(why),
        )


@implementer(IProtocolFactory)
class _Known:
    """The site, for a client that has said who it is (IProtocolFactory)."""

    def __init__(self, site: PlainSite, user: str | None, lets_in: LetsIn) -> None:
        self._site = site
        self._user = user
        self._lets_in = lets_in

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        if not self._lets_in(self._user, address_of(addr)):
            # Since CONNECT the configuration was read again.
            return None
        channel: Channel | None = self._site.buildProtocol(addr)
        if channel is not None:
            channel.user = self._user
        return channel

    def doStart(self) -> None:
        """Start nothing: the site is running (IProtocolFactory)."""

    def doStop(self) -> None:
        """Stop nothing (IProtocolFactory)."""
