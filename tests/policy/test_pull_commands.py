from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.images import Image
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.external_address import ExternalAddress, external_address
from crproxy.policy.pasted_text import read_pasted
from crproxy.policy.pull_commands import PullMethod, PullName, pull_command, pull_names
from crproxy.policy.routing import Names, route
from tests.policy.test_pasted_text import images

ALIASES = {f"{label}.cr.example.com": registry for label, registry in BUILT_IN.items()}
DOMAIN = external_address(Names("cr.example.com", ALIASES), "cr.example.com", secure=True)
OTHER_PORT = external_address(Names("cr.example.com", ALIASES), "cr.example.com:8443", secure=True)
LOCAL = external_address(Names(), "localhost:5000", secure=False)
ALONE = external_address(Names(None, {"quay.example.net": Registry("quay.io")}), "quay.example.net", secure=False)
NO_DEFAULT = external_address(Names("cr.example.com", {}, None), "cr.example.com", secure=True)


def typed(text: str, address: ExternalAddress) -> dict[str, str]:
    """What is shown for `text`, by its kind."""
    pasted = read_pasted(text, address)
    lines = (pull_command(pasted.form, name, address) for name in pull_names(pasted.image, address))
    return {line.kind.value: line.text for line in lines if line is not None}


@pytest.mark.parametrize(
    ("address", "text", "expected"),
    [
        (
            DOMAIN,
            "nginx:1.27",
            {
                "prefix": "docker pull cr.example.com/docker.io/nginx:1.27",
                "alias": "docker pull docker.cr.example.com/nginx:1.27",
                "mirror": "docker pull nginx:1.27",
            },
        ),
        (
            DOMAIN,
            "image: k8s.gcr.io/coredns/coredns:v1.8.6",
            {
                "prefix": "image: cr.example.com/k8s.gcr.io/coredns/coredns:v1.8.6",
                "alias": "image: k8s-gcr.cr.example.com/coredns/coredns:v1.8.6",
            },
        ),
        (DOMAIN, "reg.example/x", {"prefix": "docker pull cr.example.com/reg.example/x"}),
        (
            OTHER_PORT,
            "FROM quay.io/a/b AS c",
            {
                "prefix": "FROM cr.example.com:8443/quay.io/a/b AS c",
                "alias": "FROM quay.cr.example.com:8443/a/b AS c",
            },
        ),
        (LOCAL, "nginx", {"prefix": "docker pull localhost:5000/docker.io/nginx", "mirror": "docker pull nginx"}),
        (
            LOCAL,
            "podman pull quay.io/a/b",
            {"prefix": "podman pull --tls-verify=false localhost:5000/quay.io/a/b"},
        ),
        (
            LOCAL,
            "skopeo inspect docker://quay.io/a/b",
            {"prefix": "skopeo inspect --tls-verify=false docker://localhost:5000/quay.io/a/b"},
        ),
        # ctr reads no set-up of a mirror
        (
            DOMAIN,
            "ctr images pull docker.io/library/redis:7",
            {
                "prefix": "ctr images pull cr.example.com/docker.io/redis:7",
                "alias": "ctr images pull docker.cr.example.com/redis:7",
            },
        ),
        (ALONE, "quay.io/a/b", {"alias": "docker pull quay.example.net/a/b"}),
        (ALONE, "nginx", {}),
        # at the base domain a mirror is asked for what looks like another registry
        (LOCAL, "docker.io/a.b/c", {"prefix": "docker pull localhost:5000/docker.io/a.b/c"}),
        (NO_DEFAULT, "nginx", {"prefix": "docker pull cr.example.com/docker.io/nginx"}),
    ],
)
def test_what_to_type(address: ExternalAddress, text: str, expected: dict[str, str]) -> None:
    assert typed(text, address) == expected


def test_a_port_does_not_fit_into_a_name() -> None:
    # Docker: "invalid reference format".
    assert typed("registry.corp.example:5000/team/app", DOMAIN) == {}


fronts = st.sampled_from([DOMAIN, OTHER_PORT, LOCAL, ALONE, NO_DEFAULT])
known = st.builds(
    lambda registry, image: Image(registry.repository(image.repository.path), image.reference),
    st.sampled_from(sorted(BUILT_IN.values())),
    images,
)


def asked(pull: PullName, image: Image) -> tuple[str, str]:
    """Host and name, as a client takes them from what it was told to pull."""
    host, _, name = pull.name.removesuffix(image.suffix).partition("/")
    return host, name


@given(image=st.one_of(images, known), address=fronts)
def test_every_way_leads_back_to_the_image(image: Image, address: ExternalAddress) -> None:
    for pull in pull_names(image, address):
        if pull.kind is PullMethod.MIRROR:
            host, name = address.mirror() or "", image.repository.path
        else:
            host, name = asked(pull, image)
        assert route(address.names, host, name).repository == image.repository


@given(image=st.one_of(images, known), address=fronts)
def test_what_was_converted_is_still_the_same_image(image: Image, address: ExternalAddress) -> None:
    for name in pull_names(image, address):
        assert read_pasted(name.name, address).image == image


@given(image=known)
def test_each_registry_with_an_alias_has_two_ways_and_docker_hub_a_third(image: Image) -> None:
    kinds = [name.kind for name in pull_names(image, DOMAIN)]
    mirrors = [PullMethod.MIRROR] if image.repository.registry == DOCKER_HUB else []
    assert kinds == [PullMethod.PREFIX, PullMethod.ALIAS, *mirrors]
