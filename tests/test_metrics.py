"""docs/metrics.md, the dashboard and the rules for alerts: they name what the daemon exposes, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from tests.metrics.exercised import exercised
from tests.parts.requirements import need

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
OPERATIONS = ROOT / "docs" / "operations.md"
RULES = ROOT / "deploy" / "prometheus" / "crproxy.rules.yaml"
RULES_TESTS = RULES.with_name("crproxy.rules.test.yaml")

# Made by Prometheus itself for each target.
ITS_OWN = {"up"}
# What stands in an expression beside metrics: texts, durations, functions, and label names.
NO_METRICS = re.compile(
    r"""
    "[^"]*" | \[[^\]]*\] | \$\w+
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)
    | \{[^}]*\} | \b[a-z_]+(?=\s*(?:\(|by\b|without\b)) | \b(?:by|without|and|or|unless|bool|offset)\b | \b\d[\w.]*
    """,
    re.VERBOSE,
)


@pytest.fixture
def families(tmp_path: Path) -> list[Metric]:
    return list(exercised(tmp_path).collect())


@pytest.fixture
def series(families: list[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def row_of(family: Metric) -> str:
    """What the page says of one."""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    return f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"


def named_in(expression: str) -> set[str]:
    """The series that an expression asks for."""
    return set(re.findall(r"[a-z_][a-z0-9_]*", NO_METRICS.sub(" ", expression)))


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions_of_the_dashboard() -> list[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel.get("targets", [])]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions_of_the_alerts() -> list[tuple[str, str]]:
    return [(rule["alert"], rule["expr"]) for rule in alerts()]


def row_of_alert(rule: dict[str, Any]) -> str:
    """What the page says of an alert."""
    advice = rule["annotations"]["description"]
    return f"| `{rule['alert']}` | `{rule['expr']}` | {rule.get('for', '')} | {advice} |"


def test_the_page_has_a_row_for_each_metric(families: list[Metric]) -> None:
    written = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert written == [row_of(family) for family in families]


@pytest.mark.parametrize(("title", "expression"), expressions_of_the_dashboard() + expressions_of_the_alerts())
def test_an_expression_asks_for_what_there_is(title: str, expression: str, series: set[str]) -> None:
    named = named_in(expression) - ITS_OWN
    assert named or expression.startswith("up{"), title
    assert named <= series, title


def test_there_are_expressions() -> None:
    assert len(expressions_of_the_dashboard()) >= 15
    assert len(expressions_of_the_alerts()) >= 16


@pytest.mark.parametrize(("title", "expression"), expressions_of_the_alerts())
def test_an_alert_asks_for_labels_that_there_are(title: str, expression: str, families: list[Metric]) -> None:
    values: dict[tuple[str, str], set[str]] = {}
    for family in families:
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault((sample.name, label), set()).add(value)
    for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)="([^"$]*)"', selector):
            assert name in ITS_OWN or value in values[name, label], title


def test_the_page_of_operations_has_a_row_for_each_alert() -> None:
    written = [line for line in OPERATIONS.read_text("utf-8").splitlines() if line.startswith("| `Crproxy")]
    assert written == [row_of_alert(rule) for rule in alerts()]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_grave_it_is_what_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}


def test_each_alert_is_seen_quiet_and_firing() -> None:
    tests = yaml.safe_load(RULES_TESTS.read_text("utf-8"))["tests"]
    seen = {(looked["alertname"], bool(looked["exp_alerts"])) for test in tests for looked in test["alert_rule_test"]}
    assert seen == {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}


@pytest.mark.integration
@pytest.mark.parametrize("words", [["check", "rules", RULES.name], ["test", "rules", RULES_TESTS.name]], ids=" ".join)
def test_prometheus_takes_the_rules(words: list[str]) -> None:
    done = subprocess.run([need("promtool"), *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('sum by (registry) (rate(a_total{x="b_c"}[$__rate_interval])) / 2', {"a_total"}),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m])))", {"a_bucket"}),
        ('a - time() < 7 * 86400 or up{job="x"} == 0', {"a", "up"}),
        ("a_sum / on (registry) group_left () b_sum offset 5m", {"a_sum", "b_sum"}),
    ],
)
def test_the_names_in_an_expression_are_found(expression: str, named: set[str]) -> None:
    assert named_in(expression) == named


def test_the_dashboard_asks_the_data_source_that_is_chosen() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert dashboard["schemaVersion"] >= 39
    (variable,) = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    for panel in panels(dashboard):
        assert panel["type"] == "row" or panel["datasource"] == source, panel["title"]


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in panels(json.loads(DASHBOARD.read_text("utf-8")))]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(taken) == len(set(taken))
    assert all(x < 24 for x, _ in taken)


def test_every_metric_of_its_own_is_on_the_dashboard(families: list[Metric]) -> None:
    shown = {name for _, expression in expressions_of_the_dashboard() for name in named_in(expression)}
    missing = {
        family.name
        for family in families
        if family.name.startswith("crproxy_") and not any(name.startswith(family.name) for name in shown)
    }
    assert missing == set()
