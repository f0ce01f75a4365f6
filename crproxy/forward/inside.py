"""What is said inside, in the place of a registry: the site that answers, in a TLS of the registry's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from OpenSSL.crypto import X509, PKey
from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IProtocol, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from ..config import Config
from ..oci.names import Registry
from ..policy.routing import Names
from ..tls.accepting import Contexts, TLSFactory
from ..tls.certificates import Certified
from ..tls.client_hello import Hello
from ..transports.tls import TLSStream
from ..web.channel import Channel
from ..web.site import PlainSite
from .switching import Switch

__all__ = ["Inside", "InsideConfiguration"]

_HTTP = b"http/1.1"


class InsideConfiguration:
    """The configuration as it is where a registry is answered in its place: its own host stands for it, and no other.

    Who is let in was asked before, of the proxy's client.

    Arguments:
        current: returns the configuration that counts now.
        host: that clients ask.
        registry: what it is.
    """

    def __init__(self, current: Callable[[], Config], host: str, registry: Registry) -> None:
        self._current = current
        self._names = Names(domain=host, aliases={host: registry}, default_registry=None)
        self._of: Config | None = None
        self._inside: Config | None = None

    def __call__(self) -> Config:
        """Return it."""
        config = self._current()
        if self._inside is None or self._of is not config:
            clients = replace(config.clients, users=None)
            self._of, self._inside = config, replace(config, names=self._names, clients=clients)
        return self._inside


class Inside:
    """What one client is granted: TLS in the name of ``host``, and ``site`` inside (Granted).

    Arguments:
        certified: what is shown.
        user: who the client is; None for anybody.
        clock: ends connections that say nothing.
        contexts: of all.
    """

    def __init__(
        self, host: str, certified: Certified, site: PlainSite, user: str | None, clock: Any, contexts: Contexts
    ) -> None:
        self._host = host
        self._certified = certified
        self._site = _Known(site, user)
        self._clock = clock
        self._contexts = contexts

    def begin(self, switch: Switch) -> None:
        """Speak (Granted)."""
        transport = switch.transport
        if isinstance(transport, TLSStream) and not transport.is_secured:
            transport.peek()
            inside = TLSFactory(self._site, self._choose, self._clock, self._contexts).buildProtocol(switch.address)
        else:
            # TLS in TLS: the outer one has the socket.
            factory = TLSMemoryBIOFactory(_Shown(self._certified), False, self._site, self._clock)
            inside = factory.buildProtocol(switch.address)
        switch.give(inside)

    def abandon(self) -> None:
        """Let go (Granted)."""

    def _choose(self, hello: Hello) -> Certified | None:
        """Return what is shown to who asks for this host, or for none; another one's is nobody's here."""
        return self._certified if hello.server_name in (None, self._host) else None


@implementer(IProtocolFactory)
class _Known:
    """The site, for a client that has said who it is (IProtocolFactory)."""

    def __init__(self, site: PlainSite, user: str | None) -> None:
        self._site = site
        self._user = user

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        channel: Channel | None = self._site.buildProtocol(addr)
        if channel is not None:
            channel.user = self._user
        return channel

    def doStart(self) -> None:
        """Start nothing: the site is running (IProtocolFactory)."""

    def doStop(self) -> None:
        """Stop nothing (IProtocolFactory)."""


@implementer(IOpenSSLServerConnectionCreator)
class _Shown:
    """Makes TLS connections that show one certificate, without a socket."""

    def __init__(self, certified: Certified) -> None:
        self._certified = certified

    def serverConnectionForTLS(self, protocol: Any) -> Connection:
        return Connection(self._context(), None)

    def _context(self) -> Context:
        options = CertificateOptions(
            privateKey=PKey.from_cryptography_key(self._certified.key),
            certificate=X509.from_cryptography(self._certified.leaf),
            acceptableProtocols=[_HTTP],
        )
        context: Context = options.getContext()
        return context
