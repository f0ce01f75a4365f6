"""What the nodes of a fleet have in common of one CA: certificates, the account's key, and attempts that failed.

What cannot be used is as if it were not there. Of two certificates the newer one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.logger import Logger

from ..policy.shared_certificates import Attempt, objection
from .certificates import BadCertificate, Certified
from .storage import pem_of, read_account_key

if TYPE_CHECKING:
    from ..fleet.sealed_values import SealedValues, Value

__all__ = ["OF_THE_CA", "CommonCertificates"]

# In place of a name, for what failed because of the CA and not of a name.
OF_THE_CA = "*"

_ACCOUNT = "account"
_CERTIFICATE = "certificate:"
_ATTEMPT = "attempt:"
# Seconds that the account's key stays where no node is that would keep it there.
_ACCOUNT_LASTS = 400 * 24 * 3600.0
# And an attempt after the next was due, so that the one after that is put off for longer.
_ATTEMPT_LASTS = 24 * 3600.0
# What is taken is written to disk: others have the reactor after so many.
_AT_ONCE = 20
# Each time that nodes put something at once one of them gets through; no more are made than there may be nodes.
_TRIES = 20


class CommonCertificates:
    """What lies in Valkey of one CA.

    Arguments:
        values: where it lies.
        now: seconds since the epoch.

    Every coroutine raises Away.
    """

    _log = Logger()

    def __init__(self, values: SealedValues, now: Callable[[], float]) -> None:
        self._values = values
        self._now = now
        # What was said of what lies there, by its name, and of which value.
        self._complaints: dict[str, bytes | None] = {}

    def forget(self) -> None:
        """Have `changed` begin anew."""
        self._values.forget()

    async def changed(self) -> list[str]:
        """Return the names whose certificates were changed since this was asked last."""
        changed = await self._values.changed()
        return [name.removeprefix(_CERTIFICATE) for name in changed if name.startswith(_CERTIFICATE)]

    async def meet(
        self,
        names: Iterable[str],
        held: Callable[[str], Certified | None],
        take: Callable[[str, Certified], None],
        *,
        puts: bool = True,
    ) -> None:
        """Have the newest certificate of each name be the one here and for all nodes.

        Arguments:
            held: returns the one that is here.
            take: is called with each that is newer.
            puts: whether the one that is here is put there where none is that can be used; where it is newer it is.
        """
        wanted = sorted(set(names))
        for begin in range(0, len(wanted), _AT_ONCE):
            some = wanted[begin : begin + _AT_ONCE]
            for _ in range(_TRIES):
                found = await self._values.read([f"{_CERTIFICATE}{name}" for name in some])
                put: dict[str, Certified] = {}
                for name in some:
                    ours, theirs = self._usable(name, held(name)), self._read(name, found[f"{_CERTIFICATE}{name}"])
                    if theirs is not None and (ours is None or theirs.version > ours.version):
                        take(name, theirs)
                    elif ours is not None and (puts if theirs is None else ours.version > theirs.version):
                        put[name] = ours
                # Where another node has put one there at the same time it is looked at once more.
                some = [name for name, ours in put.items() if not await self._put(name, found, ours)]

    def _usable(self, name: str, ours: Certified | None) -> Certified | None:
        return None if ours is None or self._objection(ours, name) is not None else ours

    async def _put(self, name: str, found: Mapping[str, Value], certified: Certified) -> bool:
        key, lasts = f"{_CERTIFICATE}{name}", certified.not_after - self._now()
        return await self._values.replace(key, found[key], certified.to_pem(), lasts)

    async def account_key(self, ours: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
        """Return the key of the fleet's account, which is ``ours`` where there was none."""
        for _ in range(_TRIES):
            value = (await self._values.read([_ACCOUNT]))[_ACCOUNT]
            found = self._read_account(value)
            if found is not None:
                await self._values.touch(_ACCOUNT, _ACCOUNT_LASTS)
                return found
            if await self._values.replace(_ACCOUNT, value, pem_of(ours), _ACCOUNT_LASTS):
                break
        return ours

    async def attempts(self, names: Iterable[str]) -> dict[str, Attempt]:
        """Return the last attempt that failed for each of ``names``, where one did; OF_THE_CA is one of them."""
        found = await self._values.read([f"{_ATTEMPT}{name}" for name in names])
        read = {
            name.removeprefix(_ATTEMPT): Attempt.from_json(value.content, self._values.ahead, self._now())
            for name, value in found.items()
            if value.content is not None
        }
        return {name: attempt for name, attempt in read.items() if attempt is not None}

    async def note(self, name: str, attempt: Attempt) -> None:
        """Tell the others of an attempt that failed; only who orders for all does."""
        key = f"{_ATTEMPT}{name}"
        lasts = max(0.0, attempt.until - self._now()) + _ATTEMPT_LASTS
        for _ in range(_TRIES):
            value = (await self._values.read([key]))[key]
            if await self._values.replace(key, value, attempt.to_json(self._values.ahead), lasts):
                return

    def _read(self, name: str, value: Value) -> Certified | None:
        if value.sealed is None:
            return None
        try:
            certified = _certified(value.content)
            why = self._objection(certified, name)
        except BadCertificate as error:
            why = str(error)
        if why is None:
            return certified
        if self._complaints.get(name) != value.sealed:
            self._complaints[name] = value.sealed
            self._log.warn("the certificate of {name} in Valkey is of no use to this node: {why}", name=name, why=why)
        return None

    def _objection(self, certified: Certified, name: str) -> str | None:
        return objection(certified.names, certified.not_after, name, self._now())

    def _read_account(self, value: Value) -> ec.EllipticCurvePrivateKey | None:
        if value.sealed is None:
            return None
        try:
            if value.content is None:
                raise BadCertificate(_NOT_SEALED)
            return read_account_key(value.content)
        except BadCertificate as error:
            self._log.warn("the account's key in Valkey is of no use, and ours takes its place: it {why}", why=error)
            return None


_NOT_SEALED = "was not sealed with this node's secret"


def _certified(content: bytes | None) -> Certified:
    """Return what was sealed. Raises BadCertificate."""
    if content is None:
        raise BadCertificate(f"it {_NOT_SEALED}")
    try:
        certified = Certified.from_pem(content)
        certified.names  # noqa: B018 - names that cannot be read are found out here
    except ValueError as error:
        raise BadCertificate(f"it cannot be read: {error}") from error
    return certified
