"""Values of the Helm chart: what each refuses, in which words, and what some come to; by the real helm."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crproxy.config import Options as ConfigOptions
from crproxy.config import load
from tests.manifests import README, SETS, manifests, readme, values_of
from tests.parts.chart import CHART, ROOT, render, try_render
from tests.parts.requirements import need

pytestmark = pytest.mark.integration

# What a fleet needs, but for its secret.
FLEET = {"mode": "fleet", "domain": "cr.example.com", "fleet": {"valkey": {"url": "redis://valkey"}}}

PRINTED = st.characters(codec="utf-8", exclude_categories=["C"])

# Values that go with none of the others: the example, the values, and the words.
REFUSED_TOGETHER: list[tuple[str | None, dict[str, Any], str]] = [
    (None, {}, "domain: TLS needs one"),
    ("single", {"tls": {"mode": "certificates"}}, "tls.certificates: name the Secrets"),
    ("single", {"tls": {"certificates": [{"secret": "a"}]}}, "tls.certificates: they are used with"),
    ("single", {"proxyProtocol": True}, "proxyProtocol: say under trustedProxies"),
    ("single", {"ingress": {"enabled": True}}, "ingress.enabled: it ends TLS: set tls.mode=elsewhere"),
    ("single", {"gateway": {"enabled": True}}, "gateway.enabled: it ends TLS: set tls.mode=elsewhere"),
    ("ingress", {"trustedProxies": []}, "ingress.enabled: say under trustedProxies"),
    ("gateway", {"trustedProxies": []}, "gateway.enabled: say under trustedProxies"),
    ("gateway", {"gateway": {"parentRefs": []}}, "gateway.parentRefs: name the Gateways"),
    ("ingress", {"domain": ""}, "ingress.tlsSecret: a certificate is for names"),
    ("single", {"metrics": {"serviceMonitor": {"enabled": True}}}, "there is nothing to ask: set metrics.enabled"),
    ("single", {"mode": "fleet"}, "fleet.valkey.url: nodes agree by Valkey"),
    (None, FLEET, "fleet.secret.name: nodes know each other"),
    ("fleet", {"fleet": {"valkey": {"url": "redis://user:word@valkey"}}}, "put it into a Secret"),
    ("fleet", {"persistence": {"existingClaim": "a"}}, "each node of a fleet has a volume of its own"),
    ("fleet", {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}, "it is less than minReplicas"),
    ("single", {"autoscaling": {"enabled": True}}, "several nodes are a fleet: set mode=fleet"),
    ("single", {"storage": {"endpoint": "https://s3.example.com"}}, "say in storage.url which bucket"),
    ("fleet", {"storage": {"url": "gs://bucket"}}, "endpoint and region are of S3 alone"),
    ("single", {"cache": {"size": "100G"}}, "cache.size: 100G does not fit into persistence.size 100Gi"),
    ("single", {"cache": {"size": "1T"}, "persistence": {"size": "1000Gi"}}, "cache.size: 1T does not fit"),
    ("single", {"persistence": {"enabled": False, "existingClaim": "a"}}, "is used with persistence.enabled=true"),
    ("fleet", {"metrics": {"enabled": True, "port": 5443}}, "metrics.port: it is taken"),
    ("single", {"metrics": {"enabled": True, "port": 443}}, "metrics.port: it is taken"),
    ("fleet", {"fleet": {"port": 80}}, "fleet.port: it is taken"),
    ("single", {"config": "a = = 1"}, "config: toml: line 1"),
    ("single", {"config": '[cache]\nsize = "1G"'}, "config: cache.size is made from the chart's values"),
    ("single", {"config": 'data_dir = "/srv"'}, "config: data_dir is made from the chart's values"),
    ("single", {"config": "cache = 1"}, "config: cache is made from the chart's values"),
    ("single", {"config": '[listen]\nhttps = ["tcp:1"]'}, "config: listen.https is made from the chart's values"),
    ("fleet", {"config": '[fleet]\nadvertise = "https://a"'}, "config: fleet.advertise is each pod's own"),
]
# One value each that the schema refuses: where, and what.
REFUSED_ALONE: list[tuple[str, Any]] = [
    ("mode", "cluster"),
    ("replicas", 1),
    ("replicas", "3"),
    ("domain", "https://cr.example.com"),
    ("domain", "cr"),
    ("domain", "CR.example.com"),
    ("image.tag", "a b"),
    ("image.digest", "sha256:0"),
    ("image.pullPolicy", "Sometimes"),
    ("tls.mode", "none"),
    ("tls.email", "ops"),
    ("tls.directory", "zerossl"),
    ("trustedProxies", ["10.0.0.0/33"]),
    ("trustedProxies", "10.0.0.0/8"),
    ("workers", 0),
    ("workers", "2"),
    ("grace", "20s"),
    ("drain", -1),
    ("cache.size", 80),
    ("cache.size", "80 GB"),
    ("config", {"domain": "a"}),
    ("files", ["one"]),
    ("persistence.size", "100"),
    ("persistence.accessModes", ["ReadOnlyMany"]),
    ("storage.url", "file:///srv"),
    ("storage.url", "s3://key:secret@bucket"),
    ("storage.endpoint", "s3.example.com"),
    ("storage.endpoint", "https://s3.example.com/?a"),
    ("fleet.port", 0),
    ("fleet.port", 65536),
    ("fleet.ipFamily", "IPv5"),
    ("fleet.valkey.url", "valkey:6379"),
    ("fleet.valkey.password", "word"),
    ("fleet.prefix", "a b"),
    ("service.type", "ExternalName"),
    ("metrics.port", "9090"),
    ("metrics.serviceMonitor.interval", "often"),
    ("networkPolicy.clients", ["10.0.0.0/8"]),
    ("networkPolicy.registries.ports", []),
    ("podDisruptionBudget.maxUnavailable", 0),
    ("autoscaling.targetCPUUtilizationPercentage", 101),
    ("user", 0),
    ("Domain", "cr.example.com"),
]


class TestRefusals:
    @pytest.mark.parametrize(("example", "values", "said"), REFUSED_TOGETHER)
    def test_values_that_do_not_go_together(self, example: str | None, values: dict[str, Any], said: str) -> None:
        assert said in try_render(example, values)

    @pytest.mark.parametrize(("path", "value"), REFUSED_ALONE, ids=json.dumps)
    def test_a_value_that_is_none(self, path: str, value: Any) -> None:
        values = value
        for key in reversed(path.split(".")):
            values = {key: values}
        said = try_render("single", values)
        assert "values don't meet the specifications of the schema" in said
        *above, last = path.split(".")
        assert "/".join(["'", *path.split(".")])[:-1] in said.replace("'/", "'//") or last in said
        assert not above or above[0] in said

    def test_every_message_is_shown(self) -> None:
        """Each `fail` of the templates is one of those above."""
        templates = "".join(path.read_text() for path in (CHART / "templates").glob("_*.tpl"))
        messages = re.findall(r'fail (?:\(printf )?"([^"]+)"', templates)
        said = [try_render(example, values) for example, values, _ in REFUSED_TOGETHER]
        assert len(messages) > 15
        for message in messages:
            assert any(all(part in words for part in message.split("%s")) for words in said), message


class TestConfiguration:
    def test_no_tables_are_lost_on_the_way(self) -> None:
        """What docs/configuration.md has, mixed lists included, comes out as it went in."""
        blocks = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "docs" / "configuration.md").read_text(), re.M | re.S)
        assert len(blocks) >= 3
        for block in blocks:
            # The chart's own values are for these.
            text = re.sub(
                r"^(?:domain|data_dir|advertise) = .*\n|^\[(?:aliases|cache|listen)\]\n(?:[^\n]+\n)*",
                "",
                block,
                flags=re.M,
            )
            made = tomllib.loads(render("single", {"config": text, "tls": {"email": ""}}).toml)
            for key, value in tomllib.loads(text).items():
                assert made[key] == value

    @given(
        st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20),
            st.integers(-(2**53), 2**53)
            | st.booleans()
            | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
            max_size=5,
        )
    )
    @settings(max_examples=25, deadline=None)
    def test_values_keep_their_types(self, table: dict[str, Any]) -> None:
        written = functools.partial(json.dumps, ensure_ascii=False)
        text = "[x]\n" + "\n".join(f"{written(key)} = {written(value)}" for key, value in table.items())
        assert tomllib.loads(render("single", {"config": text}).toml)["x"] == table

    def test_a_change_starts_pods_anew_unless_they_shall_not(self) -> None:
        def mark(**values: Any) -> Any:
            return render("single", values).pod["metadata"].get("annotations", {}).get("checksum/config")

        assert mark() == mark()
        assert mark() != mark(cache={"size": "81G"})
        assert mark(restartOnChange=False) is None

    def test_behind_what_ends_tls_images_are_served_in_the_clear(self) -> None:
        config = load(render("ingress").toml, ConfigOptions(), read_file=str)
        assert config.listen.https == ()
        assert config.listen.trusted_proxies


class TestShapes:
    def test_a_single_node_is_never_two(self) -> None:
        release = render("single", {"replicas": 5})
        assert release.one("StatefulSet")["spec"]["replicas"] == 1
        assert not release.all("PodDisruptionBudget")
        assert not release.all("HorizontalPodAutoscaler")

    def test_a_scaler_is_not_contradicted(self) -> None:
        assert "replicas" not in render("gateway").one("StatefulSet")["spec"]
        assert render("fleet").one("StatefulSet")["spec"]["replicas"] == 3

    def test_each_node_of_a_fleet_says_its_own_address(self) -> None:
        container = render("fleet").container
        assert "--fleet-advertise=https://$(POD_IP):5443" in container["args"]
        (variable,) = container["env"]
        assert variable == {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        six = render("fleet", {"fleet": {"ipFamily": "IPv6"}}).container["args"]
        assert "--fleet-advertise=https://[$(POD_IP)]:5443" in six

    def test_what_a_fleet_knows_itself_by_is_a_file_from_a_secret(self) -> None:
        (volume,) = (found for found in render("fleet").pod["spec"]["volumes"] if found["name"] == "config")
        secrets = {source["secret"]["name"]: source["secret"]["items"] for source in volume["projected"]["sources"][1:]}
        assert secrets == {
            "crproxy-fleet": [{"key": "fleet.secret", "path": "fleet.secret"}],
            "crproxy-valkey": [{"key": "password", "path": "valkey.password"}],
        }

    def test_the_first_tier_is_a_volume_or_none_that_stays(self) -> None:
        volumes = {volume["name"]: volume for volume in render("fleet").pod["spec"]["volumes"]}
        assert volumes["data"] == {"name": "data", "emptyDir": {"sizeLimit": "100Gi"}}
        kept = render("fleet", {"persistence": {"enabled": True}}).one("StatefulSet")["spec"]
        assert kept["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Delete", "whenDeleted": "Retain"}
        (claim,) = kept["volumeClaimTemplates"]
        assert claim["spec"]["resources"]["requests"]["storage"] == "100Gi"
        assert "persistentVolumeClaimRetentionPolicy" not in render("single").one("StatefulSet")["spec"]

    def test_a_fleet_is_spread_over_machines(self) -> None:
        keys = [found["topologyKey"] for found in render("fleet").pod["spec"]["topologySpreadConstraints"]]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert "topologySpreadConstraints" not in render("single").pod["spec"]

    def test_a_ca_finds_its_way_past_a_policy_for_clients(self) -> None:
        clients = {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}
        first = render("single", clients).one("NetworkPolicy")["spec"]["ingress"][0]
        assert first == {"ports": [{"port": 80}]}
        rules = render("ingress").one("NetworkPolicy")["spec"]["ingress"]
        assert all("from" in rule for rule in rules)

    @pytest.mark.parametrize(
        ("values", "ports"),
        [
            ({}, [443, 6379]),
            ({"storage": {"endpoint": "http://s3.example.com:9000"}}, [9000, 6379]),
            ({"storage": {"endpoint": "http://s3.example.com"}}, [80, 6379]),
            ({"storage": {"endpoint": "https://[fd00::1]:9000"}}, [9000, 6379]),
            ({"storage": {"endpoint": "https://[fd00::1]"}}, [443, 6379]),
            ({"fleet": {"valkey": {"url": "rediss://valkey.example.com:6380/1"}}}, [443, 6380]),
        ],
    )
    def test_a_policy_lets_out_to_the_store_and_to_valkey(self, values: dict[str, Any], ports: list[int]) -> None:
        rules = render("fleet", values).one("NetworkPolicy")["spec"]["egress"]
        names, registries, store, valkey, nodes = ([port["port"] for port in rule["ports"]] for rule in rules)
        assert [*store, *valkey] == ports
        assert (names, registries, nodes) == ([53, 53], [443], [5443])

    def test_what_is_private_is_no_registry(self) -> None:
        """Unless it is listed: crproxy itself refuses it as well."""
        rule = render("single").one("NetworkPolicy")["spec"]["egress"][1]
        blocks = {peer["ipBlock"]["cidr"]: peer["ipBlock"]["except"] for peer in rule["to"]}
        assert blocks.keys() == {"0.0.0.0/0", "::/0"}
        assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(blocks["0.0.0.0/0"])

    def test_an_ingress_and_a_gateway_lead_every_name_here(self) -> None:
        names = {"aliases": {"hub.example.net": "docker.io", "corp": "registry.corp.example"}}
        hosts = ["cr.example.com", "*.cr.example.com", "hub.example.net"]
        ingress = render("ingress", names).one("Ingress")["spec"]
        assert [rule["host"] for rule in ingress["rules"]] == ingress["tls"][0]["hosts"] == hosts
        assert render("gateway", names).one("HTTPRoute")["spec"]["hostnames"] == hosts
        service = render("ingress").one("Service", "crproxy")["spec"]
        for rule in ingress["rules"]:
            (path,) = rule["http"]["paths"]
            assert path["backend"]["service"] == {"name": "crproxy", "port": {"name": service["ports"][0]["name"]}}

    def test_workers_have_room_for_what_they_have_in_common(self) -> None:
        volumes = {volume["name"]: volume for volume in render("certificates").pod["spec"]["volumes"]}
        assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "256Mi"}


class TestNotes:
    @pytest.mark.parametrize(
        ("example", "words"),
        [
            ("single", "get service crproxy"),
            ("ingress", "get ingress crproxy"),
            ("gateway", "get httproute crproxy"),
            ("fleet", "A fleet of crproxy: 3 nodes."),
        ],
    )
    def test_they_say_what_is_next(self, example: str, words: str, tmp_path: Path) -> None:
        """Helm prints them where it has installed something; without a cluster they are rendered as a file is."""
        chart = tmp_path / "crproxy"
        shutil.copytree(CHART, chart)
        (chart / "templates" / "NOTES.txt").rename(chart / "NOTES.txt")
        (chart / "templates" / "notes.yaml").write_text(
            'notes: |\n  {{- tpl (.Files.Get "NOTES.txt") . | nindent 2 }}\n'
        )
        values = CHART.parent / "examples" / f"{example}.yaml"
        command = [need("helm"), "template", "crproxy", str(chart), f"--values={values}", "--kube-version=1.34.0"]
        done = subprocess.run(
            [*command, "--show-only=templates/notes.yaml"], capture_output=True, text=True, check=True
        )
        notes = yaml.safe_load(done.stdout)["notes"]
        assert words in notes
        assert "exec crproxy-0 -- crproxy doctor" in notes
        assert not re.search(r"\n\n\n|[{}]", notes)


class TestWhatIsMade:
    def test_the_manifests_are_those_of_the_chart(self) -> None:
        """`make manifests` writes them."""
        made = manifests()
        there = {path: path.read_text("utf-8") for directory in SETS for path in directory.glob("*.yaml")}
        assert there == made

    @pytest.mark.parametrize("directory", SETS, ids=lambda path: path.name)
    def test_kustomize_takes_them(self, directory: Any) -> None:
        command = [need("kubectl"), "kustomize", str(directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        made = [found for found in yaml.safe_load_all(done.stdout) if found]
        release = render(SETS[directory], {"restartOnChange": False})
        assert {found["kind"] for found in made} == {found["kind"] for found in release.resources} | {"Namespace"}
        (stateful,) = (found for found in made if found["kind"] == "StatefulSet")
        (container,) = stateful["spec"]["template"]["spec"]["containers"]
        assert container["image"].startswith("registry.example.com/crproxy:")

    def test_the_table_of_values_is_that_of_the_chart(self) -> None:
        """`make manifests` writes it."""
        page = README.read_text("utf-8")
        assert page == readme(page)

    def test_the_schema_knows_the_values_that_there_are(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        names = {row.name for row in values_of((CHART / "values.yaml").read_text())}
        known = set(leaves(schema)) - {"global"}
        assert known == names


def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> list[str]:
    """The paths of a schema's values, but for those within lists."""
    if "properties" not in schema:
        return [".".join(path)]
    assert schema["additionalProperties"] is False
    return [leaf for key, below in schema["properties"].items() for leaf in leaves(below, (*path, key))]
