"""Where tags point and which manifests a repository has, as some node has seen it lately, and which node that is.

Who would ask upstream looks here first. The manifests themselves come from the node, until the object store has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import RegistryError
from ..oci.names import Reference
from ..store.entries import View
from ..store.notes import TagEntry
from .valkey import Away, Script, Valkey

__all__ = ["Tags", "Told"]

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


@dataclass(frozen=True, slots=True)
class Told:
    """What a node tells the others of a tag, or of a manifest by its digest.

    Arguments:
        entry: which manifest it is, and when upstream said so.
        media_type: of that; None where the node has not got it.
        url: where the node is reached.
    """

    entry: TagEntry
    media_type: str | None = None
    url: str | None = None


class Tags:
    """What nodes tell each other; not what is seen with a client's own login.

    Arguments:
        valkey: where it lies.
        url: where other nodes reach this one.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, valkey: Valkey, url: str, now: Callable[[], float]) -> None:
        self._valkey = valkey
        self._url = url
        self._now = now

    async def look(self, view: View, reference: Reference) -> Told | None:
        """Return what some node told last; None where none has, or Valkey is away."""
        if view.caller is not None:
            return None
        try:
            value = await self._valkey.ask("GET", self._key(view, reference))
        except Away:
            return None
        return None if value is None else self._parsed(value)

    def note(self, view: View, reference: Reference, entry: TagEntry, media_type: str | None = None) -> None:
        """Tell the others.

        Arguments:
            media_type: of the manifest, where it is here.
        """
        if view.caller is None and self._valkey.is_up:
            noting = Deferred.fromCoroutine(self._note(self._key(view, reference), entry, media_type))
            noting.addErrback(lambda failure: self._log.failure("a tag could not be told of", failure))

    async def _note(self, key: str, entry: TagEntry, media_type: str | None) -> None:
        checked = entry.checked - self._valkey.ahead
        said = {"digest": str(entry.digest), "checked": checked, "type": media_type, "url": self._url}
        value = json.dumps(said)
        try:
            await self._valkey.run(_NOTE, [key], [value, repr(checked), _KEPT_SECONDS])
        except Away:
            return

    def _key(self, view: View, reference: Reference) -> str:
        repository = view.repository
        path = f"{repository.registry}/{repository.path}/-/{quote(view.credential, safe='') or '-'}/{reference}"
        return self._valkey.key("tag", path)

    def _parsed(self, value: bytes) -> Told | None:
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
        entry = TagEntry(found, min(checked + self._valkey.ahead, self._now()))
        return Told(entry, _text(said.get("type")), _text(said.get("url")))


def _text(said: object) -> str | None:
    return said if isinstance(said, str) and said.isprintable() else None
