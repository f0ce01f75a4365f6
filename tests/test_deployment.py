"""What is deployed: compose.yaml, the image's recipe, Kubernetes' manifests, against what the daemon takes."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from crproxy.config import Config, load
from crproxy.config import Options as ConfigOptions
from crproxy.tap import Options

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HEALTH = ["python", "-m", "crproxy.admin.health", "/data/admin.sock"]
# Seconds that the daemon needs beyond its grace.
TIDYING = 10


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def options_of_twistd() -> set[str]:
    return {option.rstrip("=") for option in Options().longOpt}


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


class TestImage:
    def test_its_base_is_an_argument(self) -> None:
        (argument,) = instructions("ARG")
        assert argument.startswith("BASE=")
        assert [stage.split()[0] for stage in instructions("FROM")] == ["${BASE}", "${BASE}"]

    def test_it_is_nobody_in_particular_with_a_volume_and_ports(self) -> None:
        assert instructions("USER") == ["65532:65532"]
        assert instructions("VOLUME") == ["/data"]
        assert instructions("EXPOSE") == ["5000 80 443"]
        assert instructions("STOPSIGNAL") == ["SIGTERM"]

    def test_it_looks_after_itself_by_a_module_that_is_there(self) -> None:
        (check,) = instructions("HEALTHCHECK")
        assert check.endswith(f"CMD {str(HEALTH).replace(chr(39), chr(34))}")

    def test_its_command_is_made_of_options(self) -> None:
        (command,) = instructions("CMD")
        options = Options()
        options.parseOptions(yaml.safe_load(command))
        assert options["loaded"].listen.http == ("tcp:5000",)

    def test_only_an_installation_goes_into_the_build(self) -> None:
        """What it is made from, and nothing else: no .git, no .env, no data."""
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        let_in = {line[1:] for line in lines if line.startswith("!")}
        assert lines[1] == "*"
        assert let_in == {"crproxy", "twisted", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"}
        assert all((ROOT / name).exists() for name in let_in)


class TestCompose:
    compose = document(ROOT / "compose.yaml")
    service = compose["services"]["crproxy"]

    def options(self, **variables: str) -> Config:
        """What the daemon makes of its command, with these in the environment."""

        def replace(match: re.Match[str]) -> str:
            return variables.get(match[1], match[3] if match[2] == "-" else "")

        command = [re.sub(r"\$\{(\w+):([-?])([^}]*)\}", replace, word) for word in self.service["command"]]
        options = Options()
        options.parseOptions(command)
        config = options["loaded"]
        assert isinstance(config, Config)
        return config

    def test_a_domain_and_an_address_are_all_that_it_wants(self) -> None:
        config = self.options(CRPROXY_DOMAIN="cr.example.com", CRPROXY_EMAIL="ops@example.com")
        assert config.names.domain == "cr.example.com"
        assert config.acme.email == "ops@example.com"
        assert "letsencrypt.org" in str(config.acme.directory)

    def test_without_them_it_says_what_to_write(self) -> None:
        text = "\n".join(self.service["command"])
        assert set(re.findall(r"\$\{(\w+):\?write \1=\S+ into \.env\}", text)) == {"CRPROXY_DOMAIN", "CRPROXY_EMAIL"}

    def test_its_ports_are_those_that_are_listened_on(self) -> None:
        config = self.options(CRPROXY_DOMAIN="cr.example.com", CRPROXY_EMAIL="ops@example.com")
        inside = [f"tcp:{mapping.split(':')[1]}" for mapping in self.service["ports"]]
        assert inside == [*config.listen.http, *config.listen.https]
        assert [mapping.split(":")[0] for mapping in self.service["ports"]] == ["80", "443"]

    def test_it_may_do_nothing_but_listen(self) -> None:
        assert self.service["cap_drop"] == ["ALL"]
        assert self.service["read_only"] is True
        assert self.service["security_opt"] == ["no-new-privileges:true"]
        assert self.service["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}

    def test_its_data_are_on_a_volume(self) -> None:
        assert "data:/data" in self.service["volumes"]
        assert "data" in self.compose["volumes"]

    def test_it_is_given_the_time_that_it_takes_to_stop(self) -> None:
        assert self.service["stop_grace_period"] == f"{Config().listen.grace + TIDYING:g}s"

    def test_its_base_is_the_images_own(self) -> None:
        (argument,) = instructions("ARG")
        assert self.service["build"]["args"]["BASE"] == f"${{CRPROXY_BASE:-{argument.removeprefix('BASE=')}}}"


class TestKubernetes:
    kinds: ClassVar = {document(path).get("kind"): document(path) for path in sorted(KUBERNETES.glob("*.yaml"))}
    template = kinds["Deployment"]["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]

    @property
    def config(self) -> Config:
        return load(self.kinds["ConfigMap"]["data"]["crproxy.toml"], ConfigOptions(), read_file=str)

    def test_there_is_one_of_each(self) -> None:
        assert set(self.kinds) == {
            "ConfigMap",
            "Deployment",
            "Kustomization",
            "Namespace",
            "PersistentVolumeClaim",
            "Service",
        }
        others = {f"{path.name}" for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(self.kinds["Kustomization"]["resources"]) == others

    def test_all_are_of_one_namespace(self) -> None:
        name = self.kinds["Namespace"]["metadata"]["name"]
        for kind in set(self.kinds) - {"Namespace", "Kustomization"}:
            assert self.kinds[kind]["metadata"]["namespace"] == name

    def test_the_configuration_is_one(self) -> None:
        assert self.config.names.domain == "cr.example.com"

    def test_it_reads_the_file_that_is_mounted(self) -> None:
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        assert self.container["args"] == ["--config", f"{mounts['config']}/crproxy.toml"]
        assert mounts["data"] == self.config.data_dir
        assert {volume["name"] for volume in self.pod["volumes"]} == set(mounts)

    def test_the_ports_are_those_that_are_listened_on(self) -> None:
        ports = {port["name"]: f"tcp:{port['containerPort']}" for port in self.container["ports"]}
        assert ((ports["http"],), (ports["https"],)) == (self.config.listen.http, self.config.listen.https)

    def test_the_service_leads_to_them_by_the_ports_that_clients_and_a_ca_know(self) -> None:
        service = self.kinds["Service"]["spec"]
        assert {port["port"]: port["targetPort"] for port in service["ports"]} == {80: "http", 443: "https"}
        assert service["selector"].items() <= self.template["metadata"]["labels"].items()
        selector = self.kinds["Deployment"]["spec"]["selector"]["matchLabels"]
        assert selector.items() <= self.template["metadata"]["labels"].items()

    def test_the_probes_ask_at_the_admin_socket(self) -> None:
        for probe in ("startupProbe", "livenessProbe"):
            assert self.container[probe]["exec"]["command"] == HEALTH
        assert self.container["readinessProbe"]["exec"]["command"] == [*HEALTH, "/readyz"]

    def test_it_keeps_the_restricted_standard(self) -> None:
        """Kubernetes, "Pod Security Standards", restricted: what each of its rows asks for."""
        assert self.kinds["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert self.pod["securityContext"]["runAsNonRoot"] is True
        assert self.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = self.container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        kinds = {next(key for key in volume if key != "name") for volume in self.pod["volumes"]}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
        safe = {"net.ipv4.ip_unprivileged_port_start"}
        assert {sysctl["name"] for sysctl in self.pod["securityContext"]["sysctls"]} <= safe

    def test_it_runs_as_the_images_user(self) -> None:
        context = self.pod["securityContext"]
        assert instructions("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]

    def test_it_is_given_the_time_that_it_takes_to_stop(self) -> None:
        assert self.pod["terminationGracePeriodSeconds"] == self.config.listen.grace + TIDYING

    def test_the_cache_fits_into_its_volume(self) -> None:
        claim = self.kinds["PersistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"]
        assert self.config.cache.size < int(claim.removesuffix("Gi")) << 30


@pytest.mark.parametrize("path", sorted(path.name for path in KUBERNETES.glob("*.yaml")))
def test_a_manifest_is_plain(path: str) -> None:
    """No templates, no anchors: what is written is what is applied."""
    text = re.sub(r"^\s*#.*$", "", (KUBERNETES / path).read_text(), flags=re.MULTILINE)
    assert not re.search(r"\{\{|(?<=\s)[&*]\w|<<:", text)


class TestUnits:
    def read(self, name: str) -> dict[str, list[str]]:
        pairs = re.findall(r"^(\w+)=(.*)$", (ROOT / "systemd" / name).read_text(), re.MULTILINE)
        return {key: [value for found, value in pairs if found == key] for key, _ in pairs}

    def test_it_has_the_time_that_it_takes_to_stop(self) -> None:
        assert self.read("crproxy.service")["TimeoutStopSec"] == [f"{Config().listen.grace + TIDYING:g}s"]

    def test_systemd_is_told(self) -> None:
        service = self.read("crproxy.service")
        assert service["Type"] == ["notify"]
        assert service["WatchdogSec"] == ["30s"]

    def test_the_sockets_are_those_that_the_configuration_beside_them_names(self) -> None:
        """The comment at the top is what the operator copies."""
        text = (ROOT / "systemd" / "crproxy.socket").read_text()
        toml = "\n".join(line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   "))
        config = load(f'domain = "cr.example.com"\n{toml}', ConfigOptions(), read_file=str)
        assert self.read("crproxy.socket")["ListenStream"] == ["80", "443"]
        assert config.listen.http == ("systemd:domain=INET6:index=0",)
        assert config.listen.https == ("systemd:domain=INET6:index=1",)


def test_what_git_does_not_have_an_image_has_not_either() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert any(fnmatch("x.pyc", pattern.removeprefix("**/")) for pattern in ignored)


def test_the_health_check_imports_next_to_nothing() -> None:
    code = "import sys, crproxy.admin.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"twisted", "click", "cryptography"} & set(done.stdout.split())
