from __future__ import annotations

import json
import tomllib

import pytest

from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.external_address import ExternalAddress, external_address
from crproxy.policy.routing import Names
from crproxy.policy.setups import SETUPS, Target
from crproxy.web.page.clients import Client, Section, sections_of

QUAY = Registry("quay.io")
DOMAIN = external_address(
    Names("cr.example.com", {"docker.cr.example.com": DOCKER_HUB, "quay.cr.example.com": QUAY}),
    "cr.example.com",
    secure=True,
)
LOCAL = external_address(Names(), "localhost:5000", secure=False)


def section(address: ExternalAddress, client: Client, *, login: bool = False) -> Section:
    return {one.client: one for one in sections_of(address, login=login)}[client]


def test_each_client_has_a_section() -> None:
    assert [one.client for one in sections_of(DOMAIN, login=False)] == list(Client)
    assert [one.client for one in sections_of(LOCAL, login=False)] == list(Client)


@pytest.mark.parametrize("client", ["docker", "containerd", "podman"])
def test_it_has_the_files_that_the_command_prints(client: str) -> None:
    target = Target.of_names(DOMAIN.names, "cr.example.com", secure=True)
    found, made = section(DOMAIN, Client(client)), SETUPS[client](target)
    assert (found.files, found.added, found.merge) == (made.files, made.added, made.merge)


def test_containerd_is_told_where_its_files_are() -> None:
    newer, older = section(DOMAIN, Client.CONTAINERD).added
    assert {newer.path, older.path} == {"/etc/containerd/config.toml"}
    assert "io.containerd.cri.v1.images" in tomllib.loads(newer.text)["plugins"]
    assert "io.containerd.grpc.v1.cri" in tomllib.loads(older.text)["plugins"]
    assert section(DOMAIN, Client.CONTAINERD).commands == ("systemctl restart containerd",)


def test_kubernetes_has_a_file_for_its_nodes_and_a_name_for_its_manifests() -> None:
    k3s, pod = section(DOMAIN, Client.KUBERNETES).files
    assert k3s.path == "/etc/rancher/k3s/registries.yaml"
    assert "image: cr.example.com/docker.io/nginx:1.27\n" in pod.text


def test_a_local_one_is_asked_by_plain_http() -> None:
    docker = section(LOCAL, Client.DOCKER)
    (added,) = docker.added
    assert json.loads(added.text) == {"registry-mirrors": ["http://localhost:5000"]}
    assert docker.files == ()
    assert 'ours = {"registry-mirrors": ["http://localhost:5000"]}' in docker.merge
    assert docker.commands == ("systemctl reload docker",)


def test_docker_sends_a_mirror_no_password_so_that_it_has_no_file_where_there_is_a_login() -> None:
    clients = [one.client for one in sections_of(DOMAIN, login=True)]
    assert clients == [Client.CONTAINERD, Client.PODMAN, Client.KUBERNETES]
    (file,) = section(DOMAIN, Client.CONTAINERD, login=True).files
    assert "authorization" in file.text


def test_without_docker_hub_docker_has_no_mirror() -> None:
    address = external_address(Names("cr.example.com", {}, None), "cr.example.com", secure=True)
    assert Client.DOCKER not in [one.client for one in sections_of(address, login=False)]


def test_a_host_that_stands_for_one_registry_alone_has_none() -> None:
    assert (
        sections_of(
            external_address(Names(None, {"quay.example.net": QUAY}), "quay.example.net", secure=False), login=False
        )
        == ()
    )
