"""The Helm chart, by the real helm: each shape and each switch, against Kubernetes' schemas and crproxy's own loader.

The schemas are those of kubernetes-validate, made from each version's OpenAPI; kinds that are not Kubernetes' own are
read into their projects' Go types (tests/parts/strict).
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from crproxy.config import Config, ConfigError, load
from crproxy.config import Options as ConfigOptions
from crproxy.tap import Options
from tests.parts.chart import CHART, EXAMPLE_NAMES, NAMESPACE, Rendering, lint, render
from tests.parts.requirements import need

pytestmark = pytest.mark.integration

OLDEST = re.findall(r'^kubeVersion: ">=(1\.\d+)', (CHART / "Chart.yaml").read_text(), re.MULTILINE)[0]
NEWEST = kubernetes_validate.latest_version()
OTHERS = {"HTTPRoute", "ServiceMonitor"}
# Seconds that the daemon needs beyond its grace.
TIDYING = 10
SECRET = "0123456789abcdef0123456789abcdef"

# One for each switch, and for each value that changes what is made: the example that it is tried on, and the values.
SWITCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "affinity": ("single", {"affinity": {"nodeAffinity": {}}}),
    "aliases": ("single", {"aliases": {"corp": "registry.corp.example", "hub.example.net": "docker.io", "quay": ""}}),
    "autoscaling": ("fleet", {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 5}}),
    "azure": ("fleet", {"storage": {"url": "az://account/container", "region": ""}}),
    "claim": ("single", {"persistence": {"existingClaim": "crproxy"}}),
    "clients": ("single", {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}),
    "cluster-ip": ("single", {"service": {"type": "ClusterIP"}}),
    "configuration": ("single", {"config": '[limits]\nper_client = "20M/s"\n\n[acme]\nchallenge = "tls-alpn-01"\n'}),
    "digest": ("single", {"image": {"repository": "r.example.com:5000/crproxy", "digest": "sha256:" + "0" * 64}}),
    "directory": ("single", {"tls": {"directory": "https://ca.example.com/directory"}}),
    "environment": ("single", {"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}]}),
    "files": ("single", {"files": [{"secret": "one"}, {"secret": "two"}]}),
    "fleet-on-disk": ("fleet", {"persistence": {"enabled": True, "annotations": {"a": "b"}, "storageClass": "fast"}}),
    "fleet-of-one-port": ("fleet", {"fleet": {"port": 6443, "prefix": "other"}}),
    "ingress-for-any-name": ("ingress", {"domain": "", "ingress": {"tlsSecret": ""}}),
    "ipv6": ("fleet", {"fleet": {"ipFamily": "IPv6"}, "service": {"ipFamilyPolicy": "RequireDualStack"}}),
    "balancer": (
        "single",
        {
            "service": {
                "loadBalancerClass": "a/b",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "annotations": {"a": "b"},
            }
        },
    ),
    "metrics": ("fleet", {"metrics": {"enabled": True, "port": 9091, "serviceMonitor": {"enabled": True}}}),
    "monitoring": ("certificates", {"networkPolicy": {"monitoring": [{"podSelector": {"matchLabels": {"a": "b"}}}]}}),
    "names": ("fleet", {"nameOverride": "mirror", "fullnameOverride": "a" * 60}),
    "no-account": ("single", {"serviceAccount": {"create": False}}),
    "no-budget": ("fleet", {"podDisruptionBudget": {"enabled": False}}),
    "no-drain": ("single", {"drain": 0, "grace": 120}),
    "no-policy": ("fleet", {"networkPolicy": {"enabled": False}}),
    "no-resources": ("single", {"resources": None}),
    "no-store": ("fleet", {"storage": {"url": "", "region": "", "environmentSecret": ""}}),
    "no-user": ("single", {"user": None}),
    "node-port": ("single", {"service": {"type": "NodePort", "externalTrafficPolicy": "Cluster"}}),
    "plain": ("single", {"domain": "", "tls": {"mode": "elsewhere"}}),
    "pods": (
        "single",
        {
            "podAnnotations": {"a": "b"},
            "podLabels": {"c": "d"},
            "nodeSelector": {"disk": "fast"},
            "priorityClassName": "high",
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "pull"}],
        },
    ),
    "policies": (
        "fleet",
        {
            "networkPolicy": {
                "registries": {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [443, 5000]},
                "storage": [{"namespaceSelector": {}}],
                "valkey": [{"podSelector": {}}],
                "dns": [{"namespaceSelector": {}}],
                "extraEgress": [{"ports": [{"port": 3128}], "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}],
            }
        },
    ),
    "proxy-protocol": ("single", {"proxyProtocol": True, "trustedProxies": ["10.0.0.0/8", "fd00::/8"]}),
    "redirect": ("fleet", {"storage": {"redirect": True, "size": "1.5T"}}),
    "role": ("fleet", {"serviceAccount": {"name": "other", "annotations": {"eks.amazonaws.com/role-arn": "arn:a"}}}),
    "spread": (
        "fleet",
        {
            "topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ]
        },
    ),
    "single-with-store": ("single", {"storage": {"url": "gs://bucket/prefix"}}),
    "tls-to-valkey": (
        "fleet",
        {"fleet": {"valkey": {"url": "rediss://v.example.com", "passwordSecret": {"name": ""}}}},
    ),
    "volumes": (
        "single",
        {"extraVolumes": [{"name": "x", "emptyDir": {}}], "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}]},
    ),
    "workers": ("single", {"workers": "auto"}),
}
RELEASES: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in EXAMPLE_NAMES} | SWITCHES
# Those with [storage] or [fleet].
FLEETS = [name for name, (example, values) in RELEASES.items() if {example, *values} & {"fleet", "gateway", "storage"}]
# As docs/fleet.md has them.
STORAGE_KEYS = {"url", "endpoint", "region", "size", "redirect", "redirect_ttl"}
FLEET_KEYS = {"valkey", "valkey_password_file", "advertise", "listen", "secret_file", "name", "prefix"}


@pytest.fixture(params=RELEASES, name="release")
def fixture_release(request: pytest.FixtureRequest) -> Rendering:
    return render(*RELEASES[request.param])


def config_of(release: Rendering, *, everything: bool) -> Config:
    """What the daemon makes of the configuration and the arguments, in a pod.

    Arguments:
        everything: with [storage] and [fleet].
    """
    text, arguments = release.toml, {}
    for argument in release.container["args"]:
        name, _, value = argument.removeprefix("--").partition("=")
        arguments[name] = value.replace("$(POD_IP)", "fd00::5" if "[" in value else "10.0.0.5")
    assert arguments.pop("config") == "/etc/crproxy/crproxy.toml"
    if not everything:
        text = "\n[".join(part for part in text.split("\n[") if not part.startswith(("storage]", "fleet]")))
        arguments = {}
    options = ConfigOptions(**{name.replace("-", "_"): value for name, value in arguments.items()})
    return load(text, options, read_file=lambda path: files_of(release)[path])


def files_of(release: Rendering) -> dict[str, str]:
    """The files that the Secrets of a pod are taken to hold."""
    found = {}
    for source in sources_of(release):
        for item in source.get("secret", {}).get("items", []):
            found[f"/etc/crproxy/{item['path']}"] = SECRET
    if any(source.get("secret", {}).get("name") == "crproxy-passwords" for source in sources_of(release)):
        found |= {"/etc/crproxy/htpasswd": f"alice:$2y$05${'e' * 53}\n"}
        found |= {"/etc/crproxy/registry.corp.example.password": "secret\n"}
    return found


def sources_of(release: Rendering) -> list[dict[str, Any]]:
    (volume,) = (volume for volume in release.pod["spec"]["volumes"] if volume["name"] == "config")
    sources = volume["projected"]["sources"]
    assert isinstance(sources, list)
    return sources


def is_read(table: str) -> bool:
    try:
        load(f"[{table}]\n", ConfigOptions(), read_file=str)
    except ConfigError as error:
        return "there is no such key" not in str(error)
    return True


# Whoever adds the second of them to crproxy/config switches this on: then it counts.
FLEET_IS_READ = pytest.mark.xfail(
    not (is_read("storage") and is_read("fleet")), reason="[storage] and [fleet] are not read in this tree", strict=True
)


class TestSchemas:
    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    def test_kubernetes_knows_every_field(self, release: Rendering, version: str) -> None:
        for resource in release.resources:
            if resource["kind"] not in OTHERS:
                kubernetes_validate.validate(resource, version, strict=True)

    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    def test_it_knows_no_others(self, version: str) -> None:
        stateful = render("single").one("StatefulSet")
        stateful["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
        with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
            kubernetes_validate.validate(stateful, version, strict=True)

    def test_the_versions_of_its_apis_are_those_that_the_readme_names(self) -> None:
        made = {resource["apiVersion"] for name in RELEASES for resource in render(*RELEASES[name]).resources}
        documented = set(re.findall(r"`((?:[a-z0-9.]+/)?v[0-9]+)`", (CHART / "README.md").read_text()))
        assert made == documented

    @pytest.mark.parametrize("name", ["gateway", "metrics"])
    def test_the_projects_of_other_kinds_know_every_field(self, name: str) -> None:
        others = [resource for resource in render(*RELEASES[name]).resources if resource["kind"] in OTHERS]
        assert others
        done = strict(yaml.safe_dump_all(others))
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("kind", "change", "said"),
        [
            ("HTTPRoute", {"hostname": ["a"]}, 'unknown field "hostname"'),
            ("HTTPRoute", {"parentRefs": "public"}, "cannot unmarshal string"),
            ("ServiceMonitor", {"endpoints": [{"prot": "metrics"}]}, 'unknown field "prot"'),
        ],
    )
    def test_they_know_no_others(self, kind: str, change: dict[str, Any], said: str) -> None:
        resource = render("gateway").one(kind)
        resource["spec"] |= change
        assert said in strict(yaml.safe_dump(resource)).stderr


def strict(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([need("strict-kinds")], input=text, capture_output=True, text=True, check=False)


class TestLint:
    @pytest.mark.parametrize("name", RELEASES)
    def test_helm_has_nothing_to_say(self, name: str) -> None:
        done = lint(*RELEASES[name])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[WARNING]" not in done.stdout
        assert "[ERROR]" not in done.stdout


class TestPods:
    """What every pod keeps to, whatever the values say."""

    def test_it_is_within_the_restricted_standard(self, release: Rendering) -> None:
        """Kubernetes, "Pod Security Standards", restricted: what each of its rows asks for."""
        spec, container = release.pod["spec"], release.container
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser", 65532) != 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {sysctl["name"] for sysctl in spec["securityContext"]["sysctls"]} == {
            "net.ipv4.ip_unprivileged_port_start"
        }
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("hostPort" not in port for port in container["ports"])
        kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}

    def test_it_has_no_rights_in_the_cluster(self, release: Rendering) -> None:
        assert release.pod["spec"]["automountServiceAccountToken"] is False
        kinds = {resource["kind"] for resource in release.resources}
        assert not {kind for kind in kinds if "Role" in kind or kind == "Secret"}
        for account in release.all("ServiceAccount"):
            assert account["automountServiceAccountToken"] is False
            assert account["metadata"]["name"] == release.pod["spec"]["serviceAccountName"]

    def test_every_volume_is_mounted_and_there(self, release: Rendering) -> None:
        spec = release.one("StatefulSet")["spec"]
        volumes = [volume["name"] for volume in release.pod["spec"]["volumes"]]
        volumes += [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
        mounts = {mount["name"]: mount["mountPath"] for mount in release.container["volumeMounts"]}
        assert sorted(volumes) == sorted(mounts)
        assert mounts["data"] == tomllib.loads(release.toml)["data_dir"]
        assert mounts["tmp"] == "/tmp"
        assert len(set(mounts.values())) == len(mounts)

    def test_it_has_the_time_that_it_takes_to_stop(self, release: Rendering) -> None:
        stopping = [hook["exec"]["command"] for hook in release.container.get("lifecycle", {}).values()]
        drain = sum(int(seconds) for _, seconds in stopping)
        grace = config_of(release, everything=False).listen.grace
        assert release.pod["spec"]["terminationGracePeriodSeconds"] == drain + grace + TIDYING

    def test_the_probes_ask_at_the_admin_socket(self, release: Rendering) -> None:
        health = ["python", "-m", "crproxy.admin.health", "/data/admin.sock"]
        for probe in ("startupProbe", "livenessProbe"):
            assert release.container[probe]["exec"]["command"] == health
        assert release.container["readinessProbe"]["exec"]["command"] == [*health, "/readyz"]

    def test_the_files_that_the_configuration_names_are_mounted(self, release: Rendering) -> None:
        named = set(re.findall(r'"(/etc/crproxy/[^"]+)"', release.toml)) - {"/etc/crproxy/certs"}
        assert named <= files_of(release).keys()
        if "/etc/crproxy/certs" in release.toml:
            assert any(name.startswith("/etc/crproxy/certs/") and name.endswith(".pem") for name in files_of(release))

    def test_names_are_short_enough(self, release: Rendering) -> None:
        """A Service's name is a label of a host name, of 63 at the most; a pod's has a number and a hash behind it."""
        for resource in release.resources:
            assert len(resource["metadata"]["name"]) <= 56
            assert resource["metadata"]["namespace"] == NAMESPACE


class TestPorts:
    def test_they_are_those_that_are_listened_on(self, release: Rendering) -> None:
        ports = {port["name"]: port["containerPort"] for port in release.container["ports"]}
        config = config_of(release, everything=False)
        assert endpoints(config.listen.http) == [ports["http"]]
        assert endpoints(config.listen.https) == [port for name, port in ports.items() if name == "https"]
        metrics = [] if config.metrics.listen is None else endpoints((config.metrics.listen,))
        assert metrics == [port for name, port in ports.items() if name == "metrics"]
        nodes = [int(text.rpartition(":")[2]) for text in release.container["args"] if "advertise" in text]
        assert nodes == [port for name, port in ports.items() if name == "nodes"]
        assert len(set(ports.values())) == len(ports)

    def test_services_lead_to_them(self, release: Rendering) -> None:
        names = {port["name"] for port in release.container["ports"]}
        led = {port["targetPort"] for service in release.all("Service") for port in service["spec"].get("ports", [])}
        assert led == names
        for service in release.all("Service"):
            assert service["spec"]["selector"].items() <= release.pod["metadata"]["labels"].items()

    def test_what_is_not_for_clients_is_not_where_clients_come(self, release: Rendering) -> None:
        (headless,) = (found for found in release.all("Service") if found["spec"].get("clusterIP") == "None")
        assert release.one("StatefulSet")["spec"]["serviceName"] == headless["metadata"]["name"]
        (service,) = (found for found in release.all("Service") if found is not headless)
        assert {port["name"] for port in service["spec"]["ports"]} <= {"http", "https"}
        assert {port["name"] for port in headless["spec"].get("ports", [])} <= {"metrics", "nodes"}

    def test_the_network_policy_opens_them_and_no_others(self, release: Rendering) -> None:
        for policy in release.all("NetworkPolicy"):
            assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
            opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
            assert opened == {port["containerPort"] for port in release.container["ports"]}
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= release.pod["metadata"]["labels"].items()

    def test_the_port_of_nodes_is_open_to_nodes_alone(self, release: Rendering) -> None:
        nodes = [port["containerPort"] for port in release.container["ports"] if port["name"] == "nodes"]
        for policy in release.all("NetworkPolicy"):
            for direction, whom in (("ingress", "from"), ("egress", "to")):
                rules = [
                    rule for rule in policy["spec"][direction] if {port["port"] for port in rule["ports"]} & {*nodes}
                ]
                assert [rule[whom] for rule in rules] == [[{"podSelector": policy["spec"]["podSelector"]}]] * len(nodes)

    def test_selectors_agree(self, release: Rendering) -> None:
        labels = release.pod["metadata"]["labels"]
        spec = release.one("StatefulSet")["spec"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        for budget in release.all("PodDisruptionBudget"):
            assert budget["spec"]["selector"] == spec["selector"]
        for monitor in release.all("ServiceMonitor"):
            found = [
                service
                for service in release.all("Service")
                if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            ]
            assert [port["name"] for service in found for port in service["spec"]["ports"] if port["name"] == "metrics"]
            assert len(found) == 1
        for scaler in release.all("HorizontalPodAutoscaler"):
            assert scaler["spec"]["scaleTargetRef"]["name"] == release.one("StatefulSet")["metadata"]["name"]


def endpoints(described: tuple[str, ...]) -> list[int]:
    return [int(endpoint.rpartition("tcp:")[2]) for endpoint in described]


class TestConfiguration:
    def test_crproxy_takes_it(self, release: Rendering) -> None:
        config = config_of(release, everything=False)
        assert config.cache.size == 80 << 30

    @FLEET_IS_READ
    @pytest.mark.parametrize("name", FLEETS)
    def test_crproxy_takes_all_of_it(self, name: str) -> None:
        config_of(render(*RELEASES[name]), everything=True)

    @pytest.mark.parametrize("name", FLEETS)
    def test_what_it_says_of_a_fleet_are_keys_that_there_are(self, name: str) -> None:
        document = tomllib.loads(render(*RELEASES[name]).toml)
        assert set(document.get("storage", {})) <= STORAGE_KEYS
        assert set(document.get("fleet", {})) <= FLEET_KEYS

    def test_the_options_of_its_pods_are_those_of_twistd(self, release: Rendering) -> None:
        options = {option.rstrip("=") for option in Options().longOpt}
        assert {argument.removeprefix("--").partition("=")[0] for argument in release.container["args"]} <= options

    def test_what_it_trusts_are_networks(self, release: Rendering) -> None:
        networks = tomllib.loads(release.toml)["listen"].get("trusted_proxies", [])
        assert [str(network) for network in config_of(release, everything=False).listen.trusted_proxies] == networks
