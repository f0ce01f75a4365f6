"""Where tags point, as some node of the fleet has seen it lately: who would ask upstream looks here first."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import RegistryError
from ..oci.names import Tag
from ..store.entries import View
from ..store.notes import TagEntry
from .valkey import Away, Script, Valkey

__all__ = ["Tags"]

# What is older than this is of no use to anybody who wants to know where a tag points now.
_KEPT_SECONDS = 600

# KEYS: the tag. ARGV: digest, when it was checked, seconds. What was checked later stays.
_NOTE = Script("""
local held = redis.call('GET', KEYS[1])
if held then
  local readable, said = pcall(cjson.decode, held)
  if readable and type(said) == 'table' and (tonumber(said.checked) or 0) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
return 1
""")


class Tags:
    """The tags that nodes tell each other of; not those that are seen with a client's own login.

    Arguments:
        valkey: where they lie.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, valkey: Valkey, now: Callable[[], float]) -> None:
        self._valkey = valkey
        self._now = now

    async def look(self, view: View, tag: Tag) -> TagEntry | None:
        """Return where a tag pointed when some node checked it last; None where nobody has, or Valkey is away."""
        if view.caller is not None:
            return None
        try:
            value = await self._valkey.ask("GET", self._key(view, tag))
        except Away:
            return None
        return None if value is None else self._parsed(value)

    def note(self, view: View, tag: Tag, entry: TagEntry) -> None:
        """Tell the others."""
        if view.caller is None and self._valkey.is_up:
            noting = Deferred.fromCoroutine(self._note(self._key(view, tag), entry))
            noting.addErrback(lambda failure: self._log.failure("a tag could not be told of", failure))

    async def _note(self, key: str, entry: TagEntry) -> None:
        checked = entry.checked - self._valkey.ahead
        value = json.dumps({"digest": str(entry.digest), "checked": checked})
        try:
            await self._valkey.run(_NOTE, [key], [value, repr(checked), _KEPT_SECONDS])
        except Away:
            return

    def _key(self, view: View, tag: Tag) -> str:
        repository = view.repository
        path = f"{repository.registry}/{repository.path}/-/{quote(view.credential, safe='') or '-'}/{tag}"
        return self._valkey.key("tag", path)

    def _parsed(self, value: bytes) -> TagEntry | None:
        try:
            said = parse_json(value)
        except NotJson:
            return None
        if not isinstance(said, dict):
            return None
        digest, checked = said.get("digest"), said.get("checked")
        if not isinstance(checked, int | float) or isinstance(checked, bool) or not isinstance(digest, str):
            return None
        try:
            found = Digest.parse(digest)
        except RegistryError:
            return None
        # No clock is quite right: what was checked in the time to come would be fresh for too long.
        return TagEntry(found, min(checked + self._valkey.ahead, self._now()))
