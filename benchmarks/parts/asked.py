"""What a fleet asks of Valkey and of its object store for a request: counted, without what idle nodes ask."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.parts.s3 import S3Server
from tests.parts.valkey import Valkey

__all__ = ["Asked", "Counter"]

_IDLE_SECONDS = 10.0
# For what goes on after an answer: a lease that is given back, facts that are uploaded.
_AFTER_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for one request.

    Arguments:
        commands: of Valkey; a script counts as one, and so does each command in it.
        requests: of the object store.
    """

    commands: float
    requests: float


class Counter:
    """Counts; nothing else may ask these two meanwhile.

    Arguments:
        valkey, s3: what is asked.
    """

    def __init__(self, valkey: Valkey, s3: S3Server) -> None:
        self._valkey = valkey
        self._s3 = s3
        self._idle = self._each_second(lambda: time.sleep(_IDLE_SECONDS))

    @property
    def idle(self) -> Asked:
        """What is asked in a second while nothing happens."""
        return self._idle

    def count(self, requests: Sequence[Callable[[], object]], settled: Callable[[], object]) -> Asked:
        """Do these; return what each took, on the average, beyond what idle nodes ask.

        Arguments:
            settled: returns when all is over that goes on after an answer.
        """

        def all_of_them() -> None:
            for request in requests:
                request()
            settled()
            time.sleep(_AFTER_SECONDS)

        begun = time.monotonic()
        before = self._so_far()
        all_of_them()
        after, seconds = self._so_far(), time.monotonic() - begun
        commands = after.commands - before.commands - self._idle.commands * seconds
        asked = after.requests - before.requests - self._idle.requests * seconds
        return Asked(commands / len(requests), asked / len(requests))

    def _each_second(self, do: Callable[[], object]) -> Asked:
        begun = time.monotonic()
        before = self._so_far()
        do()
        after, seconds = self._so_far(), time.monotonic() - begun
        return Asked((after.commands - before.commands) / seconds, (after.requests - before.requests) / seconds)

    def _so_far(self) -> Asked:
        return Asked(self._valkey.processed(), len(self._s3.log.splitlines()))
