from __future__ import annotations

from prometheus_client import CollectorRegistry

from crproxy.config import Config
from crproxy.metrics.labels import Registries
from crproxy.metrics.rules import RuleMeter
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.policy.minimum_age import TagChange
from crproxy.policy.rules import Rule
from crproxy.pullthrough.rulings import Outcome


def test_what_comes_of_rules_is_counted_by_name_and_outcome() -> None:
    registry = CollectorRegistry()
    meter = RuleMeter(registry, Registries(Config))
    tried = Rule("tried", enforce=False)
    for rule, outcome in ((Rule("a"), Outcome.HELD), (Rule("a"), Outcome.HELD), (tried, Outcome.DENIED)):
        meter.decided(rule, outcome)

    def counted(rule: str, outcome: str, enforced: str) -> float | None:
        labels = {"rule": rule, "outcome": outcome, "enforced": enforced}
        return registry.get_sample_value("crproxy_rule_decisions_total", labels)

    assert counted("a", "held", "true") == 2
    assert counted("tried", "denied", "false") == 1
    assert counted("tried", "denied", "true") is None


def test_tags_that_moved_are_counted_by_registries_that_are_known() -> None:
    registry = CollectorRegistry()
    meter = RuleMeter(registry, Registries(Config))
    for name in ("quay.io", "some.example", "other.example"):
        repository = Registry(name).repository("org/app")
        meter.moved(repository, Tag("v1"), Digest.of(b"x"), TagChange(None, 0.0, 0.0))
    counted = {name: registry.get_sample_value("crproxy_tag_changes_total", {"registry": name}) for name in LABELS}
    assert counted == {"quay.io": 1, "other": 2}


LABELS = ("quay.io", "other")
