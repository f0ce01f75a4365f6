"""Each client's file, read by a parser of its language: what a client would find in it."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import DOCKER_HUB, OLLAMA, Registry
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.routing import Names, route
from crproxy.policy.setups import SETUPS, Login, SetupError, Target

DOMAIN = Target.at("cr.example.com", secure=True)
LOCAL = Target.at("localhost:5000", secure=False)
QUAY, GHCR = Registry("quay.io"), Registry("ghcr.io")
PASSWORD = 'a "b" \\ c: #é'
LOGIN = Login("alice", PASSWORD)


def text(client: str, target: Target) -> str:
    made = SETUPS[client](target)
    (file,) = made.files or made.added
    return file.text


def settings(client: str, target: Target) -> Any:
    """What a client reads."""
    read: dict[str, Callable[[str], Any]] = {"docker": json.loads}
    read |= dict.fromkeys(("k3s", "kubernetes", "helm"), yaml.safe_load)
    return read.get(client, tomllib.loads)(text(client, target))


@pytest.mark.parametrize("client", sorted(set(SETUPS) - {"docker", "kubernetes", "ollama"}))
@pytest.mark.parametrize("target", [DOMAIN, LOCAL, replace(DOMAIN, login=LOGIN)], ids=["domain", "local", "login"])
def test_every_file_parses_and_teaches(client: str, target: Target) -> None:
    assert settings(client, target)
    assert text(client, target).startswith("# ")
    assert text(client, target).endswith("\n")


@pytest.mark.parametrize("client", SETUPS)
def test_whoever_is_set_up_is_told_what_to_do_then(client: str) -> None:
    made = SETUPS[client](DOMAIN if client == "ollama" else replace(DOMAIN, login=LOGIN))
    assert made.about.endswith(".")
    assert made.then
    assert all("\n" not in line for line in made.then)
    assert PASSWORD not in "".join((made.about, *made.then))


# Docker


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (DOMAIN, {"registry-mirrors": ["https://docker.cr.example.com"]}),
        (Target.at("cr.example.com:8443", secure=True), {"registry-mirrors": ["https://docker.cr.example.com:8443"]}),
        (LOCAL, {"registry-mirrors": ["http://localhost:5000"]}),
        (
            Target.at("192.0.2.7:5000", secure=False),
            {"registry-mirrors": ["http://192.0.2.7:5000"], "insecure-registries": ["192.0.2.7:5000"]},
        ),
        (replace(DOMAIN, aliases={}), {"registry-mirrors": ["https://cr.example.com"]}),
    ],
)
def test_docker_has_a_mirror(target: Target, expected: dict[str, list[str]]) -> None:
    assert settings("docker", target) == expected


def test_docker_with_a_login_needs_no_file_but_a_login() -> None:
    made = SETUPS["docker"](replace(DOMAIN, login=LOGIN))
    assert (made.files, made.added, made.merge) == ((), (), "")
    assert made.then[0] == "docker login --username alice cr.example.com"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (replace(DOMAIN, registries=(QUAY,)), "cr.example.com/quay.io/ORG/NAME"),
        (replace(DOMAIN, aliases={}, default_registry=QUAY), "give docker.io an alias"),
    ],
)
def test_docker_has_no_mirror_of_other_registries(target: Target, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        SETUPS["docker"](target)


# containerd, k3s: which registry is meant is told by ?ns=


def test_containerd_has_one_file_for_all_or_one_for_each() -> None:
    made = SETUPS["containerd"](DOMAIN)
    assert [file.path for file in made.files] == ["/etc/containerd/certs.d/_default/hosts.toml"]
    assert settings("containerd", DOMAIN)["host"] == {"https://cr.example.com": {"capabilities": ["pull", "resolve"]}}
    chosen = SETUPS["containerd"](replace(DOMAIN, registries=(QUAY, GHCR)))
    assert [file.path.split("/")[4] for file in chosen.files] == ["quay.io", "ghcr.io"]
    plugins = [tomllib.loads(added.text)["plugins"] for added in made.added]
    assert plugins == [
        {name: {"registry": {"config_path": "/etc/containerd/certs.d"}}}
        # The newer one first.
        for name in ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")
    ]


def test_containerd_sends_the_login() -> None:
    host = settings("containerd", replace(DOMAIN, login=LOGIN))["host"]["https://cr.example.com"]
    scheme, _, credentials = host["header"]["authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", f"alice:{PASSWORD}")


def test_k3s_asks_for_every_registry_or_those_that_were_chosen() -> None:
    assert settings("k3s", LOCAL) == {"mirrors": {"*": {"endpoint": ["http://localhost:5000"]}}}
    assert set(settings("k3s", replace(LOCAL, registries=(QUAY, GHCR)))["mirrors"]) == {"quay.io", "ghcr.io"}
    auth = settings("k3s", replace(DOMAIN, login=LOGIN))["configs"]["cr.example.com"]["auth"]
    assert auth == {"username": "alice", "password": PASSWORD}


# Podman, CRI-O, BuildKit: the registry stands in the mirror's path


@pytest.mark.parametrize("client", ["podman", "cri-o"])
def test_each_registry_has_the_proxy_as_its_mirror(client: str) -> None:
    found = settings(client, DOMAIN)["registry"]
    assert {entry["location"]: entry["mirror"] for entry in found} == {
        str(registry): [{"location": f"cr.example.com/{registry}"}] for registry in BUILT_IN.values()
    }
    (local,) = settings(client, replace(LOCAL, registries=(QUAY,)))["registry"]
    assert local["mirror"] == [{"location": "localhost:5000/quay.io", "insecure": True}]


def test_buildkit_has_mirrors_and_speaks_plain_http_where_there_is_no_tls() -> None:
    assert settings("buildkit", replace(DOMAIN, registries=(QUAY,)))["registry"] == {
        "quay.io": {"mirrors": ["cr.example.com/quay.io"]}
    }
    assert settings("buildkit", LOCAL)["registry"]["localhost:5000"] == {"http": True}


@given(st.sampled_from(sorted(BUILT_IN.values())), st.sampled_from(["org/app", "a/b/c"]))
def test_what_a_mirrors_path_says_is_what_the_proxy_understands(registry: Registry, path: str) -> None:
    """A registry's repository, asked for behind the prefix, is routed to that registry."""
    (entry,) = settings("podman", replace(DOMAIN, registries=(registry,)))["registry"]
    host, _, prefix = entry["mirror"][0]["location"].partition("/")
    asked = route(Names("cr.example.com"), host, f"{prefix}/{path}")
    assert asked.repository == registry.repository(path)


# Kubernetes, Helm


def test_kubernetes_keeps_the_login_as_a_secret() -> None:
    secret = settings("kubernetes", replace(DOMAIN, login=LOGIN))
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert json.loads(secret["stringData"][".dockerconfigjson"]) == {
        "auths": {
            "cr.example.com": {
                "username": "alice",
                "password": PASSWORD,
                "auth": base64.b64encode(f"alice:{PASSWORD}".encode()).decode(),
            }
        }
    }
    with pytest.raises(SetupError, match="add --login USER"):
        SETUPS["kubernetes"](DOMAIN)


def test_helm_has_values_for_images() -> None:
    assert settings("helm", DOMAIN) == {"global": {"imageRegistry": "cr.example.com/docker.io"}}
    secrets = settings("helm", replace(DOMAIN, login=LOGIN))["global"]["imagePullSecrets"]
    assert secrets == [settings("kubernetes", replace(DOMAIN, login=LOGIN))["metadata"]["name"]]


def test_a_password_that_is_not_known_is_for_people_to_put_there() -> None:
    asking = replace(DOMAIN, login=Login("alice"))
    assert settings("k3s", asking)["configs"]["cr.example.com"]["auth"]["password"] == "PASSWORD"
    assert "printf %s 'alice:PASSWORD' | base64" in text("containerd", asking)


# What is known of a proxy


def test_the_aliases_of_a_configuration_have_its_port() -> None:
    names = Names("cr.test", {"hub.cr.test": DOCKER_HUB, "alt.cr.test": DOCKER_HUB, "hub.example.net": GHCR})
    target = Target.of_names(names, "cr.test:8443", secure=True)
    assert target.aliases == {DOCKER_HUB: "alt.cr.test:8443", GHCR: "hub.example.net:8443"}


@pytest.mark.parametrize("host", ["localhost:5000", "192.0.2.7", "[::1]:5000", "registry"])
def test_an_address_has_no_aliases(host: str) -> None:
    assert Target.at(host, secure=False).aliases == {}


def test_a_login_hides_its_password() -> None:
    assert 'a "b' not in repr(LOGIN)


# Ollama: a host of its own, and no room for a registry behind it


def test_ollama_has_no_file_but_names() -> None:
    made = SETUPS["ollama"](DOMAIN)
    assert (made.files, made.added) == ((), ())
    assert made.then[0] == "ollama pull ollama.cr.example.com/library/llama3"
    plain = replace(LOCAL, default_registry=OLLAMA)
    assert SETUPS["ollama"](plain).then[0] == "ollama pull --insecure localhost:5000/library/llama3"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (LOCAL, "no room for a registry"),
        (replace(DOMAIN, login=LOGIN), "sends no password"),
        (replace(DOMAIN, registries=(QUAY,)), "leave --registry"),
    ],
)
def test_ollama_is_told_what_it_cannot(target: Target, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        SETUPS["ollama"](target)
