"""What has come of rules, and of tags that moved, counted as it happens."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from ..oci.digests import Digest
from ..oci.names import Repository, Tag
from ..policy.minimum_age import TagChange
from ..policy.rules import Rule
from .labels import Registries

__all__ = ["RuleMeter"]


class RuleMeter:
    """Counts.

    Arguments:
        registry: takes the metrics.
        registries: makes the labels of registries.
    """

    def __init__(self, registry: CollectorRegistry, registries: Registries) -> None:
        self._registries = registries
        self._decisions = Counter(
            "crproxy_rule_decisions",
            "Requests for manifests that a rule was about, and what came of it; of what is asked again and again the "
            "first.",
            ("rule", "outcome", "enforced"),
            registry=registry,
        )
        self._changes = Counter(
            "crproxy_tag_changes",
            "Tags that were seen to point elsewhere than before, or to be gone.",
            ("registry",),
            registry=registry,
        )

    def decided(self, rule: Rule, outcome: str) -> None:
        """Count what has come of a rule, or would have."""
        self._decisions.labels(rule.name, outcome, str(rule.enforce).lower()).inc()

    def moved(self, repository: Repository, tag: Tag, before: Digest | None, change: TagChange) -> None:
        """Count a tag that points elsewhere; not one that was never seen before."""
        self._changes.labels(self._registries.label(str(repository.registry))).inc()
