from __future__ import annotations

import json
import tomllib

import pytest

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.fronts import Front, front_of
from crproxy.policy.routing import Names
from crproxy.policy.setups import Client, Setup, setups_of

QUAY, GHCR = Registry("quay.io"), Registry("ghcr.io")
DOMAIN = front_of(
    Names("cr.example.com", {"docker.cr.example.com": DOCKER_HUB, "quay.cr.example.com": QUAY}),
    "cr.example.com",
    secure=True,
)
LOCAL = front_of(Names(), "localhost:5000", secure=False)
LAN = front_of(Names(), "proxy.lan:5000", secure=False)


def setup(front: Front, client: Client) -> Setup:
    return {one.client: one for one in setups_of(front, [DOCKER_HUB, QUAY, GHCR])}[client]


@pytest.mark.parametrize(
    ("front", "document"),
    [
        (DOMAIN, {"registry-mirrors": ["https://docker.cr.example.com"]}),
        (LOCAL, {"registry-mirrors": ["http://localhost:5000"]}),
        (LAN, {"registry-mirrors": ["http://proxy.lan:5000"], "insecure-registries": ["proxy.lan:5000"]}),
    ],
)
def test_docker_is_told_its_mirror(front: Front, document: dict[str, list[str]]) -> None:
    (file,) = setup(front, Client.DOCKER).files
    assert file.path == "/etc/docker/daemon.json"
    assert json.loads(file.text) == document


def test_containerd_is_told_once_for_every_registry() -> None:
    hosts, two, one = setup(DOMAIN, Client.CONTAINERD).files
    assert hosts.path.endswith("/_default/hosts.toml")
    assert tomllib.loads(hosts.text) == {"host": {"https://cr.example.com": {"capabilities": ["pull", "resolve"]}}}
    place = {"registry": {"config_path": "/etc/containerd/certs.d"}}
    assert tomllib.loads(two.text) == {"version": 3, "plugins": {"io.containerd.cri.v1.images": place}}
    assert tomllib.loads(one.text) == {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": place}}
    assert (hosts.whole, two.whole, one.whole) == (True, False, False)


def test_podman_is_told_each_registry() -> None:
    (file,) = setup(DOMAIN, Client.PODMAN).files
    document = tomllib.loads(file.text)
    assert [(one["location"], one["mirror"]) for one in document["registry"]] == [
        ("docker.io", [{"location": "docker.cr.example.com"}]),
        ("quay.io", [{"location": "quay.cr.example.com"}]),
        ("ghcr.io", [{"location": "cr.example.com/ghcr.io"}]),
    ]


def test_podman_is_told_that_a_mirror_has_no_tls() -> None:
    (file,) = setup(LOCAL, Client.PODMAN).files
    mirrors = [one["mirror"] for one in tomllib.loads(file.text)["registry"]]
    assert mirrors[0] == [{"location": "localhost:5000/docker.io", "insecure": True}]


def test_kubernetes_has_a_file_for_its_nodes_and_a_name_for_its_manifests() -> None:
    k3s, pod = setup(DOMAIN, Client.KUBERNETES).files
    assert k3s.text == 'mirrors:\n  "*":\n    endpoint:\n      - "https://cr.example.com"\n'
    assert "image: cr.example.com/docker.io/nginx:1.27\n" in pod.text


def test_without_a_host_for_all_registries_there_is_only_what_an_alias_can_do() -> None:
    alone = front_of(Names(None, {"quay.example.net": QUAY}), "quay.example.net", secure=False)
    (only,) = setups_of(alone, [DOCKER_HUB, QUAY])
    assert only.client is Client.PODMAN
    assert [one["location"] for one in tomllib.loads(only.files[0].text)["registry"]] == ["quay.io"]


def test_without_docker_hub_docker_has_no_mirror() -> None:
    front = front_of(Names("cr.example.com", {}, QUAY), "cr.example.com", secure=True)
    assert Client.DOCKER not in {one.client for one in setups_of(front, [QUAY])}
