from __future__ import annotations

import pytest
from hypothesis import given

from crproxy.oci.errors import RegistryError
from crproxy.oci.images import Image
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.images import parse_image
from crproxy.policy.routing import Names
from tests import strategies

LOCAL = Names()
DOMAIN = Names("cr.test", {"quay.cr.test": Registry("quay.io"), "hub.example.net": DOCKER_HUB})
DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize("names", [LOCAL, DOMAIN])
@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("grafana/loki:3", "docker.io/grafana/loki:3"),
        ("quay.io/org/app:v1", "quay.io/org/app:v1"),
        ("registry.example.com:5000/app", "registry.example.com:5000/app:latest"),
        (f"ghcr.io/org/app@{DIGEST}", f"ghcr.io/org/app@{DIGEST}"),
        (f"ghcr.io/org/app:v1@{DIGEST}", f"ghcr.io/org/app@{DIGEST}"),
        ("docker://quay.io/org/app:v1", "quay.io/org/app:v1"),
        (" nginx:1 ", "docker.io/library/nginx:1"),
    ],
)
def test_an_image_is_named_as_clients_name_it(names: Names, text: str, image: str) -> None:
    assert parse_image(names, text).full_name == image


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("cr.test/quay.io/org/app:v1", "quay.io/org/app:v1"),
        ("cr.test/nginx", "docker.io/library/nginx:latest"),
        ("CR.test:443/nginx", "docker.io/library/nginx:latest"),
        ("quay.cr.test/org/app", "quay.io/org/app:latest"),
        ("hub.example.net/nginx:1", "docker.io/library/nginx:1"),
        ("https://cr.test/ghcr.io/a/b", "ghcr.io/a/b:latest"),
    ],
)
def test_the_proxys_own_names_may_stand_in_front(text: str, image: str) -> None:
    assert parse_image(DOMAIN, text).full_name == image


def test_without_a_domain_this_machine_may_stand_in_front() -> None:
    assert parse_image(LOCAL, "localhost:5000/quay.io/org/app").full_name == "quay.io/org/app:latest"
    assert parse_image(LOCAL, "127.0.0.1:5000/quay.io/org/app").full_name == "quay.io/org/app:latest"
    # A registry there, of one's own.
    assert parse_image(LOCAL, "localhost:5001/team/app").full_name == "localhost:5001/team/app:latest"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":v1",
        "Nginx",
        "nginx:",
        "nginx:a b",
        "nginx@sha256:1",
        "nginx:a b@sha256:" + "a" * 64,
        "quay.io",
        "a//b",
        "quay.io/a/../b",
        "@",
    ],
)
def test_what_names_none_is_told(text: str) -> None:
    if text == "quay.io":
        # It may be an image of Docker Hub's; that it is none only upstream knows.
        text = "quay.io/"
    with pytest.raises(RegistryError):
        parse_image(LOCAL, text)


def test_a_repository_is_named_without_a_tag() -> None:
    assert parse_image(LOCAL, "quay.io/org/app") == Image(Registry("quay.io").repository("org/app"))


@given(strategies.hosts, strategies.names, strategies.tags)
def test_what_is_written_out_is_read_back(host: str, name: str, tag: str) -> None:
    image = parse_image(LOCAL, f"{host}/{name}:{tag}")
    assert parse_image(LOCAL, image.full_name) == image
    assert (image.repository.registry.name, image.repository.path, str(image.reference)) == (host, name, tag)
