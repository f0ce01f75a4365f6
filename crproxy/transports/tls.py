"""A connection in TLS, by an engine on the socket itself.

What Twisted's TLS promises stays: ISSLTransport and INegotiated, writes before the handshake is over, close_notify
before the end, and the end of an input that somebody cut, told from one that the peer has closed.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from OpenSSL.crypto import FILETYPE_ASN1, X509, load_certificate
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

from .engines import PlainEngine, TLSEngine
from .stream import Stream

__all__ = ["TLSStream"]

# Seconds that a peer has to close, once it was told that nothing more comes: whoever closes first while something
# arrives has the kernel reset the connection, and what was sent last may never be read.
_LINGER_SECONDS = 5.0
_DISCARDED = 64 * 1024

# Bytes that are looked at beyond those before: most ClientHellos are shorter.
_PEEK = 16 * 1024
# Seconds between two looks at a socket that cannot tell when there is more than was looked at.
_LOOK_SECONDS = 0.02


class _Phase(enum.Enum):
    """Where a connection is."""

    CLEAR = enum.auto()
    # Input is looked at and left where it is, since TLS is to begin with some of it.
    PEEKING = enum.auto()
    HANDSHAKE = enum.auto()
    SECURED = enum.auto()
    # close_notify was sent, and the peer's is waited for.
    LINGERING = enum.auto()


class TLSStream(Stream):
    """A `Stream` that can turn to TLS, and that has done so once `start_tls` was called."""

    _phase = _Phase.CLEAR
    _peeked = 0
    # The socket tells of so many bytes or more.
    _told_from = 1
    _linger: IDelayedCall | None = None
    _hurried = False
    # Nothing is to be received after the handshake.
    _deaf = False
    _on_secured: Callable[[], object] | None = None

    def peek(self) -> None:
        """Leave in the socket what is received from here on, until `start_tls` is called."""
        self._phase = _Phase.PEEKING

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        unread: int = 0,
        on_secured: Callable[[], object] | None = None,
    ) -> None:
        """Speak TLS from here on: as a client with ``server_hostname``, as a server without.

        What is written meanwhile goes out in TLS. A handshake that fails ends the connection.

        Arguments:
            unread: of the bytes that were looked at, how many of the last are the engine's.
            on_secured: called once the handshake is over.
        """
        if self._phase is _Phase.PEEKING:
            self._consume(self._peeked - unread)
        self._phase = _Phase.HANDSHAKE
        self._on_secured = on_secured
        try:
            engine = TLSEngine(
                self.socket, context, server_side=server_hostname is None, server_hostname=server_hostname
            )
        except OSError as error:
            # The peer is gone already.
            self._break(error)
            return
        self.socket = engine.socket
        self.fileno = engine.socket.fileno
        self._engine = engine
        self._blocked = True
        self.startReading()
        if server_hostname is not None:
            why = self._shake_hands()
            if why is not None:
                self._broken = why
                self.startWriting()

    @property
    def is_secured(self) -> bool:
        """Whether it has turned to TLS."""
        return self._phase not in (_Phase.CLEAR, _Phase.PEEKING)

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN agreed on (INegotiated)."""
        engine = self._engine
        agreed = engine.socket.selected_alpn_protocol() if isinstance(engine, TLSEngine) else None
        return None if agreed is None else agreed.encode("ascii")

    def getPeerCertificate(self) -> X509 | None:
        """Return what the peer has shown (ISSLTransport)."""
        engine = self._engine
        shown = engine.socket.getpeercert(binary_form=True) if isinstance(engine, TLSEngine) else None
        return None if shown is None else load_certificate(FILETYPE_ASN1, shown)

    def hurry(self) -> None:
        """Wait for nobody's close_notify, which nobody need wait for (RFC 8446, 6.1); a handshake is given up."""
        self._hurried = True
        if self._phase is _Phase.LINGERING or (self.disconnecting and self._phase is _Phase.HANDSHAKE):
            self.reactor.callLater(0, self._end)

    def _end(self) -> None:
        if self.connected and not self._aborting:
            self.connectionLost(Failure(CONNECTION_DONE))

    def doRead(self) -> Exception | None:  # type: ignore[override]
        """There is something to be received, or the end (IReadDescriptor)."""
        if self._is_broken:
            return self._broken
        phase = self._phase
        if phase is _Phase.SECURED or phase is _Phase.CLEAR:
            return super().doRead()
        if phase is _Phase.HANDSHAKE:
            return self._shake_hands()
        return self._look() if phase is _Phase.PEEKING else self._discard()

    def doWrite(self) -> Exception | None:  # type: ignore[override]
        """The socket takes more (IWriteDescriptor)."""
        if self._phase is _Phase.HANDSHAKE and not self._is_broken:
            return self._shake_hands()
        if self._phase is _Phase.LINGERING:
            self.stopWriting()
            return None
        if isinstance(self._engine, TLSEngine) and self._engine.wants_write and not self._is_broken:
            why = super().doRead()
            if why is not None or not self.connected:
                return why
        return super().doWrite()

    def startReading(self) -> None:
        """Receive (IReactorFDSet)."""
        self._deaf = False
        super().startReading()

    def stopReading(self) -> None:
        """Receive no more (IReactorFDSet), once a handshake is over."""
        if self._phase is not _Phase.HANDSHAKE or self.disconnected or self._aborting:
            super().stopReading()
        else:
            self._deaf = True

    def connectionLost(self, reason: Failure) -> None:
        """Be at the end (IFileDescriptor)."""
        linger, self._linger = self._linger, None
        if linger is not None and linger.active():
            linger.cancel()
        self._on_secured = None
        super().connectionLost(reason)

    # Before TLS

    def _look(self) -> Exception | None:
        """Hand on what is there, and leave it."""
        try:
            there = self.socket.recv(self._peeked + _PEEK, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_LOST
        new = there[self._peeked :]
        if not new:
            return self._wait_for_more()
        self._peeked = len(there)
        protocol: Any = self.protocol
        protocol.dataReceived(new)
        if not self.connected or self._aborting or self._is_broken:
            return None
        if self._phase is _Phase.HANDSHAKE:
            return self._shake_hands()
        if self._phase is _Phase.PEEKING:
            # Or the reactor is told of it over and over.
            self._tell_from(self._peeked + 1)
        return None

    def _wait_for_more(self) -> Exception | None:
        """Be told of what is there already: at the end of the input, or where the socket can tell of nothing else."""
        if _has_ended(self.socket):
            self._consume(self._peeked)
            return CONNECTION_DONE
        self.stopReading()
        self.reactor.callLater(_LOOK_SECONDS, self._look_again)
        return None

    def _look_again(self) -> None:
        if self.connected and not self.disconnecting and not self._aborting:
            self.startReading()

    def _consume(self, count: int) -> None:
        """Take out of the socket what was looked at and is done with."""
        if self._told_from > 1:
            self._tell_from(1)
        # Whoever has reset the connection is told of in the reactor's next turn.
        with contextlib.suppress(OSError):
            while count > 0 and (taken := len(self.socket.recv(count))):
                count -= taken

    def _tell_from(self, count: int) -> None:
        self._told_from = count
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    # The handshake

    def _shake_hands(self) -> Exception | None:
        engine = self._engine
        assert isinstance(engine, TLSEngine)  # noqa: S101 - what start_tls has set
        try:
            is_over = engine.shake_hands()
        except ssl.CertificateError as error:
            return error
        except (OSError, ValueError) as error:
            return error if type(error) in (ssl.SSLError, ssl.SSLCertVerificationError) else CONNECTION_LOST
        if not is_over:
            if engine.wants_write:
                self.startWriting()
            else:
                self.stopWriting()
            return None
        return self._secured()

    def _secured(self) -> Exception | None:
        """The handshake is over: send what waits for that, and read what came with the peer's last words."""
        self._phase = _Phase.SECURED
        on_secured, self._on_secured = self._on_secured, None
        if on_secured is not None:
            on_secured()
        protocol = self.protocol
        if IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()
        if self.connected and self._deaf:
            self.stopReading()
        why = self.doWrite() if self.connected and not self._aborting else None
        if why is not None or not self.connected or self._aborting or self.disconnecting or self._deaf:
            return why
        return super().doRead()

    # The end

    def _close(self) -> Exception | None:
        """Close, everything having been sent; return why the connection is at its end."""
        engine = self._engine
        if self._phase is _Phase.PEEKING:
            # Unread, it would make the kernel reset the connection, and with it what was said.
            self._consume(self._peeked)
        if isinstance(engine, PlainEngine):
            return CONNECTION_DONE
        assert isinstance(engine, TLSEngine)  # noqa: S101 - there is no third
        if not engine.close_notify():
            return None
        if engine.ended or self._hurried:
            return CONNECTION_DONE
        self._phase = _Phase.LINGERING
        self.stopWriting()
        self.startReading()
        self._linger = self.reactor.callLater(_LINGER_SECONDS, self._end)
        return None

    def _closeWriteConnection(self) -> None:
        """Send no more, but receive (IHalfCloseableDescriptor)."""
        engine = self._engine
        if isinstance(engine, TLSEngine):
            engine.close_notify()
        else:
            super()._closeWriteConnection()

    def _discard(self) -> Exception | None:
        """Receive what the peer sends still, until it closes, too."""
        try:
            return None if os.read(self.socket.fileno(), _DISCARDED) else CONNECTION_DONE
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_DONE


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether nothing more can arrive than is there (poll(2), POLLRDHUP)."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))
