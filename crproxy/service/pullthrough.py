"""What answers requests for images, put together from cache, upstreams and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config import Config
from ..limits import Fills
from ..policy.rules import Rule
from ..pullthrough import PullThrough
from ..pullthrough.ages import Ages
from ..pullthrough.artifacts import Artifacts
from ..pullthrough.blobs import Blobs
from ..pullthrough.invalidation import Invalidation
from ..pullthrough.lists import Lists
from ..pullthrough.manifests import Manifests
from ..pullthrough.patience import Patience
from ..pullthrough.permissions import Permissions
from ..pullthrough.redirecting import Redirecting
from ..pullthrough.references import KeptReferences
from ..pullthrough.ruled_manifests import Counted, RuledManifests
from ..pullthrough.signatures import Signatures
from ..pullthrough.verdicts import IndexVerdicts
from ..sharing import Sharing
from ..store.kept_verdicts import KeptVerdicts
from ..upstream.client import RegistryClient
from ..upstream.endpoint_health import EndpointHealth
from ..upstream.exchange import Exchange
from ..upstream.parallelism import Parallelism
from ..upstream.quotas import Quotas
from .caching import CacheService
from .commons import Commons

__all__ = ["make_pullthrough"]


def make_pullthrough(
    current: Callable[[], Config],
    cache: CacheService,
    exchange: Exchange,
    reactor: Any,
    fills: Fills,
    quotas: Quotas,
    *,
    now: Callable[[], float] | None = None,
    sharing: Sharing | None = None,
    parallelism: Parallelism | None = None,
    commons: Commons | None = None,
    counted: Counted | None = None,
) -> PullThrough:
    """Return what answers requests, with all that it needs behind it.

    Arguments:
        current: returns the configuration that counts now.
        exchange: asks upstreams.
        fills: what is being fetched for clients.
        quotas: what upstreams said of ours.
        now: seconds since the epoch; the reactor's by default.
        sharing: what other workers know as well.
        parallelism: over how many connections upstreams may be asked for one blob.
        commons: what all nodes have; nothing by default.
        counted: is told what has come of rules; nobody by default.
    """
    commons = commons or Commons()
    claims = None if sharing is None or (sharing.is_alone and not commons.has_nodes) else sharing.claims("manifests")
    lifetimes = current().cache.lifetimes
    health = EndpointHealth(quotas.now, sharing)
    permissions = Permissions(cache.store, current, lifetimes, now or reactor.seconds)
    references = KeptReferences(cache.store, permissions)
    client = RegistryClient(
        lambda registry: current().upstream(registry),
        exchange,
        quotas,
        references=references,
        parallelism=parallelism,
        health=health,
    )
    patience = Patience(lifetimes.patience, reactor)
    recall = commons.recall(cache.store, lifetimes, reactor, now or reactor.seconds, cache.rules.history)
    moment = now or reactor.seconds
    manifests = Manifests(
        client,
        cache.store,
        permissions,
        lifetimes,
        patience,
        reactor,
        now=now,
        claims=claims,
        news=commons.news(recall),
        history=cache.rules.history,
    )
    blobs = Blobs(
        client,
        cache.store,
        permissions,
        cache.flights,
        fills,
        patience,
        reactor,
        cache.settled,
        objects=commons.objects,
        recall=recall,
        redirecting=Redirecting(client, permissions, moment, commons.signer),
    )
    lists = Lists(client, cache.store, permissions, lifetimes, patience, moment)
    artifacts = Artifacts(manifests, blobs, lists)
    verdicts = IndexVerdicts(KeptVerdicts(cache.store.index), moment)
    ruled = RuledManifests(
        manifests,
        Ages(client, cache.rules.history, artifacts, moment, commons.others),
        cache.store.index,
        lifetimes,
        cache.rules.pin_of,
        cache.rules.denied,
        Signatures(artifacts, cache.threads, verdicts, lifetimes, moment),
        counted or _nobody,
        moment,
    )
    return PullThrough(
        ruled,
        blobs,
        lists,
        permissions,
        Invalidation(cache.store.index, references, lifetimes, moment),
        cache.settled,
        recall,
    )


def _nobody(rule: Rule, outcome: str) -> None:
    """Count nothing (Counted)."""
