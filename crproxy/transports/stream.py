"""A connection whose bytes go to the socket as they are written; only what that refuses is kept.

Twisted's own transports collect what is written, and send it when the reactor comes to it. What they promise stays:
ITransport, IConsumer with producers of both kinds, loseConnection after everything was sent, abortConnection.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure

from .engines import PIECE, Engine, PlainEngine

if TYPE_CHECKING:
    from twisted.internet.tcp import Connection as _Connection
else:
    _Connection = object

__all__ = ["READ", "Stream"]

# The most bytes of one read.
READ = 256 * 1024
# Bytes of one connection in one turn of the reactor: the others wait so long.
_TURN = 1024 * 1024
# What is written in smaller pieces while input is handled goes out together.
_SMALL = 16 * 1024

# Every read ends here, in one thread: what is made of it is done, or copied, before the next one.
_READ = memoryview(bytearray(READ))


class Stream(_Connection):
    """Sends and receives; to be mixed into a connection of Twisted's, in front of it.

    ``takes_views``, of the protocol: it is given views that change after the call, where it would be given bytes.
    """

    _log = Logger()

    _engine: Engine
    # What the socket did not take yet, in order; its bytes.
    _queue: deque[bytes | memoryview]
    queued = 0
    # The socket takes no more for now.
    _blocked = False
    # The first that is kept was offered, and must be offered again as it is.
    _bound = False
    # Input is being handled.
    _gathering = False
    # Bytes that were sent in this turn.
    _sent = 0
    _broken: Exception | None = None
    _going_on = False
    _is_reading = False
    _is_prompt = False
    takes_views = False

    # A reactor has more interfaces than one.
    reactor: Any

    def begin(self) -> None:
        """Be connected: there is a socket."""
        self._queue = deque()
        self._engine = PlainEngine(self.socket)
        if self.socket.family != socket.AF_UNIX:
            # What belongs together goes out together already. The kernel would wait 40 ms for more (RFC 1122, 4.2.3.4).
            self.setTcpNoDelay(True)
            self._is_prompt = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send at once what is written, or wait for more (ITCPTransport)."""
        # What speaks on it asks for it again.
        if not enabled or not self._is_prompt:
            self._is_prompt = False
            super().setTcpNoDelay(enabled)

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes; those that are a view are copied if they must be kept (ITransport)."""
        if not data or not self.connected or self._writeDisconnected or self._aborting or self._is_broken:
            return
        if self._gathering and len(data) < _SMALL:
            self._keep(data)
            return
        if self._queue and not self._blocked:
            self._flush()
        if self._blocked:
            self._keep(data)
        else:
            self._push(data)
        self._hold_back()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send pieces (ITransport)."""
        self.write(b"".join(iovec))

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send some of ``count`` bytes of a file; return of how many the caller need not think any more.

        It is less than ``count`` when the producer was paused meanwhile.

        Raises:
            EOFError: the file ends at ``offset``.
            OSError: the file cannot be read.
        """
        if not self.connected or self._writeDisconnected or self._aborting or self._is_broken:
            return count
        if self._queue and not self._blocked:
            self._flush()
        done = 0
        while done < count and not self._blocked and self._sent < _TURN:
            try:
                taken, rest = self._engine.send_file(fd, offset + done, min(count - done, PIECE))
            except BrokenPipeError as error:
                self._break(error)
                return count
            except EOFError:
                if not done:
                    raise
                break
            done += taken + len(rest)
            self._sent += taken
            if rest:
                self._keep(rest)
            self._bound = bool(rest)
            self._blocked = self._bound or not taken
        self._hold_back()
        return done

    def send_view(self, view: memoryview) -> int:
        """Send some of ``view``, which may change after the call; return of how many bytes the caller need not think.

        It is less than all when the producer was paused meanwhile. No more than a piece is copied to be kept.
        """
        if not self.connected or self._writeDisconnected or self._aborting or self._is_broken:
            return len(view)
        if self._queue and not self._blocked:
            self._flush()
        done = 0
        while done < len(view) and not self._blocked and self._sent < _TURN:
            piece = view[done : done + PIECE]
            self._push(piece)
            done += len(piece)
        self._hold_back()
        return done

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let ``producer`` write: as long as it is not paused, or when it is asked (IConsumer)."""
        super().registerProducer(producer, streaming)
        if not streaming and self.producer is not None:
            self.startWriting()

    def unregisterProducer(self) -> None:
        """No more comes from the producer (IConsumer)."""
        self.producerPaused = False
        super().unregisterProducer()

    def doWrite(self) -> Exception | None:  # type: ignore[override]
        """The socket takes more (IWriteDescriptor)."""
        if self._is_broken:
            return self._broken
        self._sent = 0
        self._blocked = False
        self._flush()
        if self._blocked or self._is_broken:
            return self._broken
        producer: Any = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            producer.resumeProducing()
            if not self.connected or self._aborting:
                return None
        if not self._queue and not self.producerPaused:
            return self._have_sent()
        return None

    def _have_sent(self) -> Exception | None:
        """Nothing waits to be sent: end what was to end then."""
        if self.producer is None and self.disconnecting:
            return self._close()
        if self.producer is None and self._writeDisconnecting and not self._writeDisconnected:
            self._writeDisconnected = True
            self.stopWriting()
            self._closeWriteConnection()
        elif self.producer is None or self.streamingProducer:
            self.stopWriting()
        return None

    def _close(self) -> Exception | None:
        """Close, everything having been sent; return why the connection is at its end."""
        return CONNECTION_DONE

    def _keep(self, data: bytes | memoryview) -> None:
        if isinstance(data, memoryview) and not isinstance(data.obj, bytes):
            data = bytes(data)
        self._queue.append(data)
        self.queued += len(data)

    def _push(self, data: bytes | memoryview) -> None:
        """Send, and keep what is refused."""
        sent = self._offer(data)
        if sent < len(data):
            self._blocked = self._bound = True
            self._keep(memoryview(data)[sent:])

    def _flush(self) -> None:
        """Send what was kept, as far as the socket takes it."""
        queue = self._queue
        while queue and not self._is_broken:
            head = self._head()
            sent = self._offer(head)
            if not queue:
                # It broke.
                return
            self.queued -= sent
            if sent < len(head):
                self._blocked = self._bound = True
                queue[0] = memoryview(head)[sent:]
                return
            self._bound = False
            queue.popleft()

    def _head(self) -> bytes | memoryview:
        """Return the first of what was kept, with small ones that follow."""
        queue = self._queue
        if len(queue) > 1 and not self._bound and len(queue[0]) + len(queue[1]) <= PIECE:
            pieces = [queue.popleft()]
            size = len(pieces[0])
            while queue and size + len(queue[0]) <= PIECE:
                size += len(queue[0])
                pieces.append(queue.popleft())
            queue.appendleft(b"".join(pieces))
        return queue[0]

    def _offer(self, data: bytes | memoryview) -> int:
        """Return how many bytes the socket takes; all of them where the connection is broken."""
        sent, size = 0, len(data)
        try:
            if size <= PIECE:
                sent = self._engine.send(data)
            else:
                view = memoryview(data)
                while sent < size:
                    taken = self._engine.send(view[sent : sent + PIECE])
                    sent += taken
                    if taken < PIECE:
                        break
        except OSError as error:
            self._break(error)
            return size
        self._sent += sent
        return sent

    def _hold_back(self) -> None:
        """Have the producer wait, if this was enough for now."""
        if self._is_broken:
            return
        if self._blocked:
            self._await()
        elif self._sent < _TURN:
            return
        producer: Any = self.producer
        if producer is not None and self.streamingProducer and not self.producerPaused:
            self.producerPaused = True
            self.startWriting()
            producer.pauseProducing()

    def _await(self) -> None:
        """Be told when the socket takes more."""
        if self._engine.wants_read:
            self.stopWriting()
            self.startReading()
        else:
            self.startWriting()

    @property
    def _is_broken(self) -> bool:
        return self._broken is not None

    def _break(self, error: OSError) -> None:
        """The connection is broken: the reactor is told in its next turn, since its callers are in the middle of it."""
        self._broken = _reason(error)
        self._queue.clear()
        self.queued = 0
        self.startWriting()

    # Reading

    def doRead(self) -> Exception | None:  # type: ignore[override]
        """There is something to be received, or the end (IReadDescriptor)."""
        if self._is_broken:
            return self._broken
        engine = self._engine
        sending_waits = engine.wants_read
        view = _READ[: self.bufferSize]
        try:
            count = engine.receive(view)
        except OSError as error:
            return _reason(error)
        if count:
            self._deliver(view[:count])
            if not self.connected or self._aborting:
                return None
        if engine.ended:
            return CONNECTION_DONE
        if engine.wants_write or sending_waits:
            self.startWriting()
        if count and engine.pending():
            self._read_on()
        return None

    def startReading(self) -> None:
        """Receive (IReactorFDSet)."""
        self._is_reading = True
        super().startReading()

    def stopReading(self) -> None:
        """Receive no more (IReactorFDSet)."""
        self._is_reading = False
        super().stopReading()

    def resumeProducing(self) -> None:
        """Receive (IPushProducer)."""
        super().resumeProducing()
        if self.connected and self._engine.pending():
            self._read_on()

    def connectionLost(self, reason: Failure) -> None:
        """Be at the end (IFileDescriptor)."""
        self._queue.clear()
        self.queued = 0
        super().connectionLost(reason)

    def _deliver(self, view: memoryview) -> None:
        """Hand on what was received, and send what is said to it in one."""
        protocol: Any = self.protocol
        self._gathering = True
        try:
            protocol.dataReceived(view if self.takes_views else bytes(view))
        finally:
            self._gathering = False
        if self._queue and not self._blocked and self.connected:
            self._flush()
            self._hold_back()

    def _read_on(self) -> None:
        """Read once more, in the next turn: the kernel does not tell of what is decrypted already."""
        if not self._going_on:
            self._going_on = True
            self.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        if not self.connected or self._aborting or not self._is_reading:
            return
        try:
            why = self.doRead()
        except Exception:
            # As the reactor does with what a protocol raises.
            self._log.failure("a connection ends by an error in what speaks on it")
            self.connectionLost(Failure())
        else:
            if why is not None:
                self.connectionLost(Failure(why))


def _reason(error: OSError) -> Exception:
    """Return why a connection is lost, in Twisted's words; what TLS says against it as it is."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return error
    return CONNECTION_LOST
