"""deploy/compose-fleet and deploy/systemd-fleet: their files agree with each other, and with what crproxy takes."""

import re
import tomllib
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import yaml

from crproxy.config import Config, load
from crproxy.config import Options as ConfigOptions
from tests.parts.deployment import COMPOSE, SYSTEMD, own, without_fleet

# Seconds that the daemon needs beyond its grace.
TIDYING = 10


def config_of(text: str, **options: Any) -> Config:
    return load(without_fleet(text), ConfigOptions(**options), read_file=str)


class TestCompose:
    compose: ClassVar[Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    services: ClassVar[Any] = compose["services"]
    nodes: ClassVar[Any] = {name: service for name, service in services.items() if name.startswith("node-")}
    toml = (COMPOSE / "crproxy.toml").read_text()
    document = tomllib.loads(toml)
    balancer = (COMPOSE / "haproxy.cfg").read_text()

    def options(self, node: str) -> dict[str, str]:
        words = (word.removeprefix("--").partition("=") for word in self.nodes[node]["command"])
        return {name: re.sub(r"\$\{\w+:[-?](?:.*=)?(.*?)(?: into .env)?\}", r"\1", value) for name, _, value in words}

    def test_its_nodes_differ_in_nothing_but_themselves(self) -> None:
        assert own(str(self.nodes["node-1"]), "node-1") == own(str(self.nodes["node-2"]), "node-2")
        assert len(self.nodes) == 2

    @pytest.mark.parametrize("node", ["node-1", "node-2"])
    def test_crproxy_takes_what_they_are_told(self, node: str) -> None:
        options = self.options(node)
        assert options.pop("config") == "/etc/crproxy/crproxy.toml"
        assert urlsplit(options.pop("fleet-advertise")).hostname == node
        config = config_of(self.toml, **{name.replace("-", "_"): value for name, value in options.items()})
        assert config.names.domain == "cr.example.com"
        assert config.data_dir == "/data"
        assert f"{node}:/data" in self.nodes[node]["volumes"]

    def test_the_balancer_is_believed_and_leads_to_both(self) -> None:
        (network,) = self.compose["networks"]["front"]["ipam"]["config"]
        config = config_of(self.toml, domain="cr.example.com")
        assert [str(trusted) for trusted in config.listen.trusted_proxies] == [network["subnet"]]
        servers = re.findall(r"^ +server (\S+) (\S+):(\d+)$", self.balancer, re.MULTILINE)
        assert servers == [(name, name, port) for port in ("80", "443") for name in self.nodes]
        assert config.listen.http == ("haproxy:tcp:80",)
        assert config.listen.https == ("haproxy:tcp:443",)
        assert " send-proxy-v2 " in self.balancer
        assert [config.metrics.listen] == [f"tcp:{port}" for port in re.findall(r"check port (\d+)", self.balancer)]

    def test_only_the_balancer_is_reached_from_outside(self) -> None:
        assert [name for name, service in self.services.items() if "ports" in service] == ["balancer"]
        assert self.services["balancer"]["ports"] == ["80:80", "443:443"]
        assert self.compose["networks"]["back"] == {"internal": True}
        assert all(self.services[name]["networks"] == ["back"] for name in ("valkey", "s3"))

    def test_what_the_nodes_share_is_there(self) -> None:
        storage, fleet = self.document["storage"], self.document["fleet"]
        assert urlsplit(fleet["valkey"]).hostname == "valkey"
        assert urlsplit(storage["endpoint"]).netloc == "s3:7070"
        assert ":7070 " in self.services["s3"]["entrypoint"][2]
        assert self.services["s3"]["volumes"] == [f"bucket:/s3/{urlsplit(storage['url']).hostname}"]
        assert f"ROOT_ACCESS_KEY={storage['access_key_id']} " in self.services["s3"]["entrypoint"][2]

    def test_every_secret_is_a_file_that_is_mounted(self) -> None:
        named = set(re.findall(r"/run/secrets/(\w+)", self.toml))
        assert named == set(self.compose["secrets"]) == set(self.nodes["node-1"]["secrets"])
        for name in ("valkey", "s3"):
            assert self.services[name]["secrets"] == [name]
            assert f"/run/secrets/{name}" in self.services[name]["entrypoint"][2]
        written = set(re.findall(r"> secrets/(\w+)", (COMPOSE / "README.md").read_text()))
        assert written == named

    @pytest.mark.parametrize("name", ["node-1", "node-2", "balancer", "valkey"])
    def test_they_may_do_nothing_but_listen(self, name: str) -> None:
        service = self.services[name]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_they_are_given_the_time_that_it_takes_to_stop(self) -> None:
        grace = config_of(self.toml, domain="cr.example.com").listen.grace
        assert {node["stop_grace_period"] for node in self.nodes.values()} == {f"{grace + TIDYING:g}s"}


class TestSystemd:
    texts: ClassVar = {name: (SYSTEMD / f"{name}.toml").read_text() for name in ("node-1", "node-2")}
    documents: ClassVar[Any] = {name: tomllib.loads(text) for name, text in texts.items()}
    addresses: ClassVar = {
        name: urlsplit(document["fleet"]["advertise"]).hostname for name, document in documents.items()
    }

    def test_the_nodes_differ_in_nothing_but_themselves(self) -> None:
        first, second = (self.texts[name].partition("\n")[2] for name in ("node-1", "node-2"))
        assert own(first, "node-1", self.addresses["node-1"]) == own(second, "node-2", self.addresses["node-2"])
        assert len(set(self.addresses.values())) == 2

    @pytest.mark.parametrize("name", ["node-1", "node-2"])
    def test_crproxy_takes_it(self, name: str) -> None:
        config = config_of(self.texts[name])
        assert self.documents[name]["fleet"]["name"] == name
        assert config.metrics.listen == f"tcp:9090:interface={self.addresses[name]}"

    def test_what_is_named_is_loaded(self) -> None:
        loaded = re.findall(r"^LoadCredential=(\S+):/etc/crproxy/\1$", (SYSTEMD / "fleet.conf").read_text(), re.M)
        named = re.findall(r"/run/credentials/crproxy.service/([\w.]+)", self.texts["node-1"])
        assert sorted(loaded) == sorted(named)

    @pytest.mark.parametrize("name", ["haproxy.cfg", "nginx-stream.conf", "nginx-http.conf"])
    def test_a_balancer_leads_to_both(self, name: str) -> None:
        servers = re.findall(r"^ +server (?:node-\d )?([\d.]+):(\d+)", (SYSTEMD / name).read_text(), re.MULTILINE)
        ports = ["80"] if name == "nginx-http.conf" else ["80", "443"]
        assert servers == [(address, port) for port in ports for address in self.addresses.values()]

    def test_the_balancer_is_the_one_that_is_believed(self) -> None:
        (trusted,) = config_of(self.texts["node-1"]).listen.trusted_proxies
        for name in ("haproxy.cfg", "nginx-stream.conf", "nginx-http.conf"):
            assert str(trusted.network_address) in (SYSTEMD / name).read_text().partition("\n\n")[0]
        assert "send-proxy-v2" in (SYSTEMD / "haproxy.cfg").read_text()
        assert "proxy_protocol on;" in (SYSTEMD / "nginx-stream.conf").read_text()

    def test_behind_a_balancer_that_ends_tls_the_readme_says_what_to_write(self) -> None:
        (block,) = re.findall(r"^```toml\n(.*?)^```$", (SYSTEMD / "README.md").read_text(), re.M | re.S)
        listen = load(f'domain = "cr.example.com"\n{block}', ConfigOptions(), read_file=str).listen
        assert (listen.http, listen.https) == (("tcp:80",), ())
        assert listen.trusted_proxies == config_of(self.texts["node-1"]).listen.trusted_proxies

    def test_the_readme_names_every_file(self) -> None:
        named = set(re.findall(r"`([\w-]+\.(?:toml|conf|cfg))`", (SYSTEMD / "README.md").read_text()))
        assert named >= {path.name for path in SYSTEMD.iterdir()} - {"README.md"}


def test_a_part_that_is_not_read_here_is_left_out() -> None:
    assert without_fleet("a = 1\n[storage]\nb = 2\n\n[x]\nc = 3\n[fleet]\nd = 4\n") == "a = 1\n[x]\nc = 3\n"


@pytest.mark.parametrize("path", [COMPOSE, SYSTEMD], ids=["compose", "systemd"])
def test_its_page_names_commands_that_there_are(path: Path) -> None:
    """Those of crproxy are in docs/; here is what goes with them."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", (path / "README.md").read_text(), re.M | re.S)
    programs = {line.split()[0] for line in block.splitlines()}
    assert programs <= {"mkdir", "openssl", "docker", "chmod", "systemctl", "/opt/crproxy/bin/pip"}
