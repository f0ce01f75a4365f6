from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.images import Image
from crproxy.oci.names import DOCKER_HUB, Registry, Repository, Tag
from crproxy.policy.external_address import external_address
from crproxy.policy.pasted_text import _TOOLS, LONGEST, Mistake, NotAnImage, Note, read_pasted
from crproxy.policy.routing import Names
from tests import strategies

FRONT = external_address(
    Names(
        "cr.example.com",
        {"docker.cr.example.com": DOCKER_HUB, "quay.cr.example.com": Registry("quay.io")},
    ),
    "cr.example.com",
    secure=True,
)
LOCAL = external_address(Names(), "localhost:5000", secure=False)
A, B = "a" * 64, "B" * 128


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("nginx", "nginx"),
        ("mysql:5.7", "mysql:5.7"),
        ("library/x", "x"),
        ("docker.io/library/x:1", "x:1"),
        ("index.docker.io/grafana/grafana", "grafana/grafana"),
        ("quay.io/org/app:v1", "quay.io/org/app:v1"),
        ("  quay.io/org/app:v1  \n", "quay.io/org/app:v1"),
        (f"nginx@sha256:{A}", f"nginx@sha256:{A}"),
        (f"quay.io/a/b@sha512:{B}", f"quay.io/a/b@sha512:{B.lower()}"),
        ("registry.corp.example:5000/team/app:1", "registry.corp.example:5000/team/app:1"),
        ("localhost/app", "localhost/app"),
        ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
        # in quotes, in web addresses, with a transport
        ('"nginx:1.27",', "nginx:1.27"),
        ("`quay.io/a/b`", "quay.io/a/b"),
        ("“nginx”", "nginx"),
        ("docker://quay.io/a/b", "quay.io/a/b"),
        ("oci://ghcr.io/org/chart", "ghcr.io/org/chart"),
        ("https://quay.io/a/b", "quay.io/a/b"),
        ("https://hub.docker.com/_/nginx?tab=tags", "nginx"),
        ("https://hub.docker.com/r/grafana/grafana/tags", "grafana/grafana"),
        ("https://quay.io/repository/prometheus/busybox?tab=info", "quay.io/prometheus/busybox"),
        # from another keyboard
        ("nginx：1.27", "nginx:1.27"),
        ("ｎｇｉｎｘ", "nginx"),
        ("\ufeffnginx\u200b", "nginx"),
        # this proxy's own names
        ("cr.example.com/quay.io/org/app:v1", "quay.io/org/app:v1"),
        ("cr.example.com/nginx", "nginx"),
        ("quay.cr.example.com/org/app:v1", "quay.io/org/app:v1"),
        ("docker.cr.example.com/nginx", "nginx"),
    ],
)
def test_an_image_is_found(text: str, image: str) -> None:
    assert str(read_pasted(text, FRONT).image) == image


def test_in_local_mode_its_own_host_is_taken_off() -> None:
    assert str(read_pasted("docker pull localhost:5000/quay.io/a/b", LOCAL).image) == "quay.io/a/b"
    assert str(read_pasted("docker pull localhost:5000/nginx", LOCAL).image) == "nginx"


@pytest.mark.parametrize(
    ("text", "form", "image"),
    [
        ("docker pull quay.io/a/b:1", "docker pull {}", "quay.io/a/b:1"),
        ("$ docker pull nginx", "docker pull {}", "nginx"),
        ("# docker pull nginx", "docker pull {}", "nginx"),
        ("sudo /usr/bin/docker pull --platform linux/arm64 -q nginx", "docker pull {}", "nginx"),
        ("docker image pull --platform=linux/arm64 nginx", "docker pull {}", "nginx"),
        ("docker run -it --rm -p 80:80 --name web nginx:alpine sh", "docker pull {}", "nginx:alpine"),
        ("docker run -d -v /a:/b -e A=b quay.io/a/b --flag x", "docker pull {}", "quay.io/a/b"),
        ("docker pull nginx && docker run nginx", "docker pull {}", "nginx"),
        ("docker pull --some-new-switch nginx", "docker pull {}", "nginx"),
        ("podman pull quay.io/a/b", "podman pull {}", "quay.io/a/b"),
        ("crictl pull registry.k8s.io/pause:3.10", "crictl pull {}", "registry.k8s.io/pause:3.10"),
        ("ctr -n k8s.io images pull docker.io/library/redis:7", "ctr images pull {}", "redis:7"),
        ("skopeo copy docker://quay.io/a/b dir:x", "skopeo inspect docker://{}", "quay.io/a/b"),
        ("helm pull oci://ghcr.io/org/chart", "helm pull oci://{}", "ghcr.io/org/chart"),
        ("FROM alpine", "FROM {}", "alpine"),
        ("FROM x AS y", "FROM {} AS y", "x"),
        ("from golang:1.25 as build", "FROM {} AS build", "golang:1.25"),
        ("FROM --platform=$BUILDPLATFORM golang:1.25 AS build", "FROM {} AS build", "golang:1.25"),
        ("image: k8s.gcr.io/coredns/coredns:v1.8.6", "image: {}", "k8s.gcr.io/coredns/coredns:v1.8.6"),
        ('  - image: "nginx:1.27" # the web', "image: {}", "nginx:1.27"),
        ('{"image": "nginx:1.27"}', "image: {}", "nginx:1.27"),
        ("kubectl create deployment web --image=nginx:1.27", "image: {}", "nginx:1.27"),
        ("# syntax=docker/dockerfile:1\nFROM alpine:3\nRUN apk add x", "FROM {}", "alpine:3"),
        ("services:\n  web:\n    image: nginx:1\n", "image: {}", "nginx:1"),
        # as a browser's field makes one line of several
        ("# syntax=docker/dockerfile:1 FROM alpine:3 AS a RUN apk add x", "FROM {} AS a", "alpine:3"),
        ("services:   web:     image: nginx:1     ports: []", "image: {}", "nginx:1"),
        ("nginx", "docker pull {}", "nginx"),
        ("image:v1", "docker pull {}", "image:v1"),
        ("quay.io/org/image:v1", "docker pull {}", "quay.io/org/image:v1"),
        ("docker pull image:v1", "docker pull {}", "image:v1"),
    ],
)
def test_what_it_stood_in_is_kept(text: str, form: str, image: str) -> None:
    pasted = read_pasted(text, FRONT)
    assert (pasted.form, str(pasted.image)) == (form, image)


@pytest.mark.parametrize(
    ("text", "image", "note"),
    [
        ("Nginx:Latest", "nginx:Latest", Note.LOWERED),
        ("GHCR.IO/Org/App:V1", "ghcr.io/org/app:V1", Note.LOWERED),
        (f"nginx:1.27@sha256:{A}", f"nginx@sha256:{A}", Note.TAG_LEFT_OUT),
    ],
)
def test_what_was_done_to_a_name_is_said(text: str, image: str, note: Note) -> None:
    pasted = read_pasted(text, FRONT)
    assert (str(pasted.image), pasted.notes) == (image, (note,))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", Mistake.NOTHING),
        (" \n\t ", Mistake.NOTHING),
        ('""', Mistake.NOTHING),
        ("hello world", Mistake.NOT_A_NAME),
        ("!!!", Mistake.NOT_A_NAME),
        ("a//b", Mistake.NOT_A_NAME),
        ("a/../b", Mistake.NOT_A_NAME),
        ("<script>alert(1)</script>", Mistake.NOT_A_NAME),
        ("docker pull", Mistake.NOTHING),
        ("镜像", Mistake.NOT_A_NAME),
        ("quay.io", Mistake.NO_REPOSITORY),
        ("https://quay.io/", Mistake.NO_REPOSITORY),
        ("cr.example.com", Mistake.NO_REPOSITORY),
        ("-bad-.example/x", Mistake.BAD_REGISTRY),
        ("../../etc/passwd", Mistake.BAD_REGISTRY),
        ("quay.io:99999/x", Mistake.BAD_REGISTRY),
        ("nginx:", Mistake.BAD_TAG),
        ("nginx:${VERSION}", Mistake.BAD_TAG),
        ("nginx:-1", Mistake.BAD_TAG),
        ("nginx@sha256:abc", Mistake.BAD_DIGEST),
        ("nginx@", Mistake.BAD_DIGEST),
        ("nginx@md5:" + "a" * 32, Mistake.BAD_DIGEST),
        ("FROM scratch", Mistake.SCRATCH),
        ("a" * 256, Mistake.NOT_A_NAME),
        ("a" * (LONGEST + 1), Mistake.TOO_LONG),
    ],
)
def test_what_is_no_image_says_why(text: str, mistake: Mistake) -> None:
    with pytest.raises(NotAnImage) as raised:
        read_pasted(text, FRONT)
    assert raised.value.mistake is mistake


registries = st.one_of(
    st.just(DOCKER_HUB),
    st.builds(Registry.parse, strategies.hosts),
    st.builds(lambda host, port: Registry.parse(f"{host}:{port}"), strategies.hosts, st.integers(1, 65535)),
)
images = st.builds(
    lambda registry, path, reference: Image(registry.repository(path), reference),
    registries,
    strategies.names,
    st.one_of(st.none(), st.builds(Tag.parse, strategies.tags), st.builds(Digest.parse, strategies.digests)),
)
frames = st.sampled_from(
    [
        "{}",
        " {}\n",
        '"{}"',
        "docker pull {}",
        "$ sudo docker pull -q {}",
        "docker run --rm -p 80:80 {} sh -c true",
        "docker://{}",
        "skopeo inspect docker://{}",
        "FROM {} AS build",
        "FROM --platform=linux/amd64 {}",
        "image: {}",
        "  - image: '{}'  # a comment",
        "services:\n  web:\n    image: {}\n",
        "kubectl run x --image={}",
    ]
)


@given(image=images, frame=frames)
def test_an_image_is_found_in_whatever_it_stands_in(image: Image, frame: str) -> None:
    full = f"{image.repository}{image.suffix}"
    assert read_pasted(frame.format(full), FRONT).image == image


@given(image=images)
def test_a_name_that_was_read_is_read_again(image: Image) -> None:
    assert read_pasted(str(image), LOCAL).image == image


texts = st.one_of(
    st.text(max_size=80),
    st.text("ab/:@.-_ \n\"'#$[]{}AFROMimage", max_size=60),
    st.builds(lambda frame, text: frame.replace("{}", text), frames, st.text(max_size=30)),
)


@given(text=texts)
def test_any_text_is_an_image_or_a_mistake(text: str) -> None:
    try:
        pasted = read_pasted(text, FRONT)
    except NotAnImage:
        return
    Repository.parse(pasted.image.repository.registry, pasted.image.repository.path)
    assert read_pasted(str(pasted.image), FRONT).image == pasted.image


FORMS = re.compile(
    "|".join([*map(re.escape, _TOOLS.values()), r"image: \{\}", r"FROM \{\}(?: AS [A-Za-z][A-Za-z0-9._-]*)?"])
)


@given(text=texts)
def test_nothing_but_names_is_handed_on(text: str) -> None:
    # A link to the page must not put a command of somebody else's before a reader who trusts this host.
    for line in (text, f"docker run {text} nginx", f"FROM nginx AS {text}"):
        try:
            pasted = read_pasted(line, FRONT)
        except NotAnImage:
            continue
        assert FORMS.fullmatch(pasted.form)
