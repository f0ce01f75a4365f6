"""What is deployed: compose.yaml, the image's recipe, Kubernetes' manifests, against what the daemon takes."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

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
        argument, again = instructions("ARG")
        assert argument.startswith("BASE=")
        # For its label: what is said before the first FROM is not known behind it.
        assert again == "BASE"
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
        data = {"share", "systemd", "deploy/prometheus", "docs/grafana-dashboard.json", "crproxy.tac"}
        assert let_in == {"crproxy", "twisted", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} | data
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
        argument, _ = instructions("ARG")
        assert self.service["build"]["args"]["BASE"] == f"${{CRPROXY_BASE:-{argument.removeprefix('BASE=')}}}"


@pytest.mark.parametrize("directory", [KUBERNETES, KUBERNETES / "fleet"], ids=["single", "fleet"])
class TestKubernetes:
    """The plain manifests. tests/integration/test_chart.py looks at what they are made from, and that they are it."""

    def kinds(self, directory: Path) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for path in sorted(directory.glob("*.yaml")):
            found.setdefault(document(path)["kind"], []).append(document(path))
        return found

    def test_they_are_what_kustomize_is_told(self, directory: Path) -> None:
        (kustomization,) = self.kinds(directory)["Kustomization"]
        others = {path.name for path in directory.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(kustomization["resources"]) == others

    def test_all_are_of_one_namespace_that_is_restricted(self, directory: Path) -> None:
        """Kubernetes, "Pod Security Standards": nothing that it forbids would start."""
        kinds = self.kinds(directory)
        (namespace,) = kinds.pop("Namespace")
        del kinds["Kustomization"]
        assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
        named = {resource["metadata"]["namespace"] for found in kinds.values() for resource in found}
        assert named == {namespace["metadata"]["name"]}

    def test_the_image_is_named_in_one_place(self, directory: Path) -> None:
        kinds = self.kinds(directory)
        (image,) = kinds["Kustomization"][0]["images"]
        (container,) = kinds["StatefulSet"][0]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{image['name']}:{image['newTag']}"

    def test_it_runs_as_the_images_user(self, directory: Path) -> None:
        context = self.kinds(directory)["StatefulSet"][0]["spec"]["template"]["spec"]["securityContext"]
        assert instructions("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]

    def test_nothing_in_them_is_of_helm(self, directory: Path) -> None:
        """No templates, no anchors, none of Helm's labels: what is written is what is applied."""
        for path in directory.glob("*.yaml"):
            text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)
            assert not re.search(r"\{\{|(?<=\s)[&*]\w|<<:|helm|Helm", text)


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
