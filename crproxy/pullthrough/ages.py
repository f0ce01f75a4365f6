"""How old a tag's digest is: by what the index knows, and where that is not enough, by what its registry says."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import RegistryError
from ..oci.manifests import references
from ..oci.names import Repository, Tag
from ..policy.minimum_age import Dated, Judgement, Sources, judge, judge_digest, with_last
from ..policy.rules import Rule
from ..sharing.bounding import drop_oldest
from ..store.entries import View
from ..store.tag_history import TagHistory
from ..upstream.client import RegistryClient
from .artifacts import Artifacts

__all__ = ["Ages", "KnownAges", "OtherNodes"]

# Images of an index that are looked at: as old as its newest is all of it.
_MOST_IMAGES = 32
# Seconds for which a registry that said nothing of some digest is not asked again.
_IN_VAIN_SECONDS = 600.0
# Bytes of a configuration.
_CONFIG_LIMIT = 4 * 1024 * 1024
# An HTTP date of any form (RFC 9110, 5.6.7), and a date of RFC 3339 with nanoseconds.
_LONGEST_DATE = 64


class OtherNodes(Protocol):
    """What other nodes have seen, which is in the history afterwards. Neither takes long, nor raises anything."""

    async def hear(self, view: View, tag: Tag, digest: Digest) -> None:
        """Have here what they have seen of a tag, which points to ``digest``."""

    async def hear_of(self, repository: Repository, digest: Digest) -> None:
        """Have here when they saw a digest first."""


class KnownAges:
    """Judges by what is known here.

    Arguments:
        history: where tags have pointed, and when digests were seen.
        now: seconds since the epoch.
    """

    def __init__(self, history: TagHistory, now: Callable[[], float]) -> None:
        self._history = history
        self._now = now

    def judge(self, view: View, tag: Tag, rule: Rule, confirmed: Digest | None = None) -> Judgement | None:
        """Return what a tag is answered by what is known here; None where it points nowhere.

        Arguments:
            confirmed: where upstream says just now that it points.
        """
        changes, now = self._history.changes(view, tag), self._now()
        if confirmed is not None:
            changes = with_last(changes, confirmed, now)
        digests = [change.digest for change in changes if change.digest is not None]
        dated = self._history.dated(view.repository, digests)
        return judge(changes, dated, rule.minimum_age, now, trust_created=rule.trust_created)

    def judge_digest(self, repository: Repository, digest: Digest, rule: Rule) -> Judgement:
        """Return whether a digest is old enough by what is known here."""
        dated = self._history.dated(repository, [digest]).get(digest, Dated())
        return judge_digest(digest, dated, rule.minimum_age, self._now(), trust_created=rule.trust_created)


class Ages(KnownAges):
    """Judges by what is known here, and finds out more.

    Arguments:
        client: asks registries.
        history: where tags have pointed, and when digests were seen.
        artifacts: reads what an image consists of.
        now: seconds since the epoch.
        others: know more; None where there are none.
    """

    _log = Logger()

    def __init__(
        self,
        client: RegistryClient,
        history: TagHistory,
        artifacts: Artifacts,
        now: Callable[[], float],
        others: OtherNodes | None = None,
    ) -> None:
        super().__init__(history, now)
        self._others = others
        self._client = client
        self._artifacts = artifacts
        self._asked_in_vain: dict[tuple[Repository, Digest], float] = {}

    async def hear(self, view: View, tag: Tag, digest: Digest) -> None:
        """Have here what other nodes know of a tag, which points to ``digest``: to be judged afterwards."""
        if self._others is not None:
            await self._others.hear(view, tag, digest)

    async def hear_of(self, repository: Repository, digest: Digest) -> None:
        """Have here what other nodes know of a digest."""
        if self._others is not None:
            await self._others.hear_of(repository, digest)

    async def learn(self, view: View, digest: Digest, rule: Rule) -> bool:
        """Ask the registry how old a digest is, unless that was done; tell whether more is known now.

        What cannot be asked is not known.
        """
        what, now = (view.repository, digest), self._now()
        known = self._history.dated(view.repository, [digest]).get(digest, Dated())
        if known.source == Sources.LAST_MODIFIED or (known.source is not None and rule.trust_created):
            return False
        if now < self._asked_in_vain.get(what, 0.0) + _IN_VAIN_SECONDS:
            return False
        found = await self._date(view, digest, rule.trust_created)
        if found is None or found[0] > now:
            self._asked_in_vain[what] = now
            drop_oldest(self._asked_in_vain)
            return False
        self._history.date(view.repository, digest, *found)
        return True

    def of_children(self, view: View, content: bytes, since: float) -> None:
        """Note that what an index refers to is as old as itself: who may have that may have these."""
        for child in references(content):
            if child.is_manifest:
                self._history.saw(view.repository, child.digest, since)

    async def _date(self, view: View, digest: Digest, trust_created: bool) -> tuple[float, str] | None:
        try:
            said = _last_modified(await self._client.on_behalf_of(view.caller).head_manifest(view.repository, digest))
            if said is not None and said <= self._now():
                return said, Sources.LAST_MODIFIED
            configs = await self._configs(view, digest)
            dates = [await self._last_modified_of_blob(view, config) for config in configs]
            newest = _newest(dates)
            if newest is not None and newest <= self._now():
                return newest, Sources.LAST_MODIFIED
            if trust_created:
                created = _newest(
                    [_created(await self._artifacts.blob(view, config, _CONFIG_LIMIT)) for config in configs]
                )
                return None if created is None else (created, Sources.CREATED)
        except RegistryError as error:
            self._log.debug("how old {digest} is cannot be asked: {error}", digest=str(digest), error=error)
        return None

    async def _configs(self, view: View, digest: Digest) -> list[Digest]:
        """Return the configurations of an image, or of all images of an index; none where there are too many."""
        parts = references(await self._artifacts.manifest(view, digest))
        children = [part.digest for part in parts if part.is_manifest]
        if not children:
            return [part.digest for part in parts if not part.is_manifest][:1]
        if len(children) > _MOST_IMAGES:
            return []
        found = []
        for child in children:
            found += await self._configs_of_image(view, child)
        return found

    async def _configs_of_image(self, view: View, digest: Digest) -> list[Digest]:
        parts = references(await self._artifacts.manifest(view, digest))
        return [part.digest for part in parts if not part.is_manifest][:1]

    async def _last_modified_of_blob(self, view: View, digest: Digest) -> float | None:
        header = await self._client.on_behalf_of(view.caller).head_blob(view.repository, digest)
        return _last_modified(header)


def _newest(dates: Iterable[float | None]) -> float | None:
    """Return the latest; None where any is not known."""
    found = list(dates)
    known = [date for date in found if date is not None]
    return max(known) if known and len(known) == len(found) else None


def _last_modified(header: Mapping[str, str] | None) -> float | None:
    said = (header or {}).get("last-modified", "")
    if not said or len(said) > _LONGEST_DATE:
        return None
    try:
        parsed = email.utils.parsedate_to_datetime(said)
        # Without a zone it is UTC (RFC 9110, 5.6.7).
        return (parsed if parsed.tzinfo else _in_utc(parsed)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _created(content: bytes) -> float | None:
    """Return when an image says that it was created (OCI image specification, "created"); None where it does not."""
    try:
        document = parse_json(content)
    except NotJson:
        return None
    said = document.get("created") if isinstance(document, dict) else None
    if not isinstance(said, str) or len(said) > _LONGEST_DATE:
        return None
    try:
        parsed = datetime.fromisoformat(said)
        return (parsed if parsed.tzinfo else _in_utc(parsed)).timestamp()
    except (ValueError, OverflowError):
        return None
