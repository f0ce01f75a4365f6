"""The CAs that all nodes of a fleet have in common: they lie in Valkey, sealed, and on each node's disk.

What lies in Valkey counts; a node whose Valkey is away goes by its own disk. Who finds nothing there, or something
older, as where Valkey was restored, puts what he has.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.logger import Logger

from ..fleet.sealed_values import SealedValues, Value
from ..fleet.valkey import Away
from .authorities import Authorities, NotReached
from .authority import Authority, BadAuthority, read_all

__all__ = ["CommonAuthorities"]

_NAME = "all"
# Each time that nodes put something at once one of them gets through; no more are made than there may be nodes.
_TRIES = 20


class CommonAuthorities:
    """Those of a fleet.

    Arguments:
        values: where they lie.
        authorities: those of this node, which are what is found there afterwards.

    Every coroutine raises NotReached, and OSError: they cannot be kept here.
    """

    _log = Logger()

    def __init__(self, values: SealedValues, authorities: Authorities) -> None:
        self._values = values
        self._authorities = authorities
        self._complained: bytes | None = None

    async def meet(self, names: frozenset[str]) -> None:
        """Have what lies there, and a new one for ``names`` where it is due."""
        for _ in range(_TRIES):
            value, is_known = await self._take()
            if not self._authorities.is_due(names):
                if is_known or await self._put(value, self._authorities.trusted):
                    return
            elif await self._add(value, self._authorities.trusted, names) is not None:
                return

    async def renew(self, names: frozenset[str], *, at_once: bool) -> Authority:
        """Make another one, whether or not it is due.

        Arguments:
            at_once: those before it are removed.
        """
        while True:
            value, _ = await self._take()
            made = await self._add(value, [] if at_once else self._authorities.trusted, names)
            if made is not None:
                return made

    async def _take(self) -> tuple[Value, bool]:
        """Have what lies there be what is here, unless that is older; return it, and whether it was had."""
        value, found = await self._read()
        if found is None or self._authorities.newest(found) < self._authorities.newest():
            return value, False
        self._authorities.take(found)
        return value, True

    async def _add(self, value: Value, before: Collection[Authority], names: frozenset[str]) -> Authority | None:
        """Put a new one there; None where another node has put something there at the same time."""
        made = self._authorities.make(names)
        if not await self._put(value, [*before, made]):
            return None
        self._authorities.take([*before, made])
        return made

    async def _put(self, value: Value, authorities: Collection[Authority]) -> bool:
        if not authorities:
            return True
        content = b"".join(authority.to_pem() for authority in authorities)
        try:
            return await self._values.replace(_NAME, value, content, self._authorities.seconds_left(authorities))
        except Away as error:
            raise NotReached(str(error)) from error

    async def _read(self) -> tuple[Value, list[Authority] | None]:
        """Return what lies there; None where nothing does that can be used."""
        try:
            value = (await self._values.read([_NAME]))[_NAME]
        except Away as error:
            raise NotReached(str(error)) from error
        if value.sealed is None:
            return value, None
        try:
            if value.content is None:
                raise BadAuthority("it was not sealed with this node's secret")
            return value, read_all(value.content)
        except BadAuthority as error:
            if self._complained != value.sealed:
                self._complained = value.sealed
                self._log.warn("the CA in Valkey is of no use, and ours takes its place: {error}", error=error)
            return value, None
