"""The admin API put together: who answers each part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.web.resource import IResource

from ..admin.cache_resources import CacheResource
from ..admin.fleet_resource import FleetResource
from ..admin.rules_resource import RulesResource
from ..admin.rules_work import RulesWork
from ..admin.site import make_admin_site
from ..admin.tag_resource import TagsResource
from ..admin.tag_work import TagWork
from ..admin.users_resource import UsersResource
from ..admin.warm_resource import WarmResource
from ..metrics.gathering import Gathering
from ..metrics.requests import Served
from ..oci.digests import Digest
from ..oci.names import Repository
from ..policy.routing import Names
from ..pullthrough.ages import KnownAges
from ..pullthrough.expected_answers import ExpectedAnswers
from ..pullthrough.verdicts import IndexVerdicts
from ..sharing import Sharing
from ..store.filling import Threads
from ..store.kept_verdicts import KeptVerdicts
from ..web.site import PlainSite

if TYPE_CHECKING:
    from .core import Core

__all__ = ["ServedSince", "expected_answers", "make_operators_site", "tag_work"]


def make_operators_site(core: Core, others: Mapping[str, IResource]) -> PlainSite:
    """Return the site behind the admin socket.

    Arguments:
        core: answers.
        others: what else there is, by its name below the root.
    """
    return make_admin_site(
        lambda: core.configuration().names.aliases,
        core.configuration.set_alias,
        lambda: core.sharing.ask_leader("certificate states"),
        core.reactor,
        core.observe,
        {**_resources(core), **others},
    )


def _resources(core: Core) -> dict[str, IResource]:
    current, cache, reactor, commons = core.configuration, core.cache, core.reactor, core.commons

    def names() -> Names:
        return current().names

    return {
        "fleet": FleetResource(commons.describe_fleet, commons.describe_storage),
        "cache": CacheResource(
            cache.store,
            cache.inventory,
            cache.threads,
            names,
            reactor,
            cache.pins,
            now=core.now,
            pushing=None if commons.tier is None else commons.tier.pushing(cache),
            served=ServedSince(core.gathering, core.sharing, core.now),
        ),
        "rules": RulesResource(RulesWork(current, expected_answers(core))),
        "tags": TagsResource(tag_work(core)),
        "users": UsersResource(lambda: current().clients, current.reload_users),
        "warm": WarmResource(core.warming(), names, reactor),
    }


def expected_answers(core: Core) -> ExpectedAnswers:
    """Return what tells what requests are answered just now."""
    cache = core.cache
    return ExpectedAnswers(
        KnownAges(cache.rules.history, core.now),
        cache.store,
        core.pullthrough.view,
        cache.rules.pin_of,
        cache.rules.denied,
        IndexVerdicts(KeptVerdicts(cache.store.index), core.now),
    )


def tag_work(core: Core) -> TagWork:
    """Return what an operator can do with tags."""
    cache = core.cache
    threads: Threads = cache.threads

    async def is_complete(repository: Repository, digest: Digest) -> bool:
        views = await threads(cache.inventory.by_credential, repository)
        return any(contents.image(digest, digest).complete for contents in views)

    return TagWork(
        core.configuration,
        cache.rules.history,
        cache.rules.pins,
        expected_answers(core),
        core.pullthrough.view,
        is_complete,
        cache.pins.look,
        cache.rules.denied,
        core.now,
    )


class ServedSince:
    """What the cache was good for since the daemon started, all workers together.

    Arguments:
        gathering: has what was counted.
        sharing: remembers when that began, for all workers.
        now: seconds since the epoch.
    """

    def __init__(self, gathering: Gathering, sharing: Sharing, now: Callable[[], float]) -> None:
        self._gathering = gathering
        self._began = sharing.records("counting")
        if self._began.get("since") is None:
            self._began.put("since", now())

    async def __call__(self) -> Mapping[str, Any]:
        """Return it, as JSON has it."""
        served = Served.of(await self._gathering.all())
        return {
            "since": self._began.get("since"),
            "requests": served.looked_up,
            "hits": served.hits,
            "bytes": served.sent,
            "hit_bytes": served.bytes,
            "upstream_bytes": served.received,
            "by_registry": {
                name: {"requests": requests, "hits": hits} for name, (requests, hits) in served.registries.items()
            },
        }
