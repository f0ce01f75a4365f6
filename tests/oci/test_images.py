from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.images import Image, ImageName
from crproxy.oci.names import DOCKER_HUB, Registry, Tag
from tests import strategies

A = f"sha256:{'a' * 64}"


# The rows of distribution/reference's own tests that are about where the parts are.
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("test_com", (None, "test_com", None, None)),
        ("test.com:tag", (None, "test.com", "tag", None)),
        ("test.com:5000", (None, "test.com", "5000", None)),
        ("test.com/repo:tag", ("test.com", "repo", "tag", None)),
        ("test:5000/repo", ("test:5000", "repo", None, None)),
        ("test:5000/repo:tag", ("test:5000", "repo", "tag", None)),
        (f"test:5000/repo@{A}", ("test:5000", "repo", None, A)),
        (f"test:5000/repo:tag@{A}", ("test:5000", "repo", "tag", A)),
        ("lowercase/repo", (None, "lowercase/repo", None, None)),
        ("localhost/repo", ("localhost", "repo", None, None)),
        ("[2001:db8::1]/repo", ("[2001:db8::1]", "repo", None, None)),
        ("[2001:db8::1]:5000/repo:tag", ("[2001:db8::1]:5000", "repo", "tag", None)),
        ("foo/foo_bar.com:8080", (None, "foo/foo_bar.com", "8080", None)),
        ("", (None, "", None, None)),
        (":justtag", (None, "", "justtag", None)),
        (f"@{A}", (None, "", None, A)),
        ("quay.io/", ("quay.io", "", None, None)),
        ("repo@", (None, "repo", None, "")),
    ],
)
def test_the_parts_are_where_docker_sees_them(text: str, parts: tuple[str | None, str, str | None, str | None]) -> None:
    assert ImageName.split(text) == ImageName(*parts)


@given(st.text(st.sampled_from("ab.:/@") | st.characters()))
def test_whatever_is_written_has_its_parts_and_no_others(text: str) -> None:
    name = ImageName.split(text)
    tag = "" if name.tag is None else f":{name.tag}"
    digest = "" if name.digest is None else f"@{name.digest}"
    assert f"{name.name}{tag}{digest}" == text


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        (ImageName(None, "a"), None),
        (ImageName(None, "a", "v1"), Tag("v1")),
        (ImageName(None, "a", None, A), Digest.parse(A)),
        (ImageName(None, "a", "v1", A), Digest.parse(A)),
    ],
)
def test_of_a_tag_and_a_digest_the_digest_says_which(name: ImageName, reference: Tag | Digest | None) -> None:
    assert name.reference() == reference


@pytest.mark.parametrize(
    ("tag", "digest", "code"),
    [
        ("", None, ErrorCode.TAG_INVALID),
        ("a b", A, ErrorCode.TAG_INVALID),
        ("v1", "sha256:1", ErrorCode.DIGEST_INVALID),
        (None, "", ErrorCode.DIGEST_INVALID),
    ],
)
def test_both_have_to_be_what_they_are_said_to_be(tag: str | None, digest: str | None, code: ErrorCode) -> None:
    with pytest.raises(RegistryError) as refused:
        ImageName(None, "a", tag, digest).reference()
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("image", "written", "full", "short"),
    [
        (Image(DOCKER_HUB.repository("nginx")), "nginx", "docker.io/library/nginx:latest", "nginx"),
        (Image(DOCKER_HUB.repository("a/b"), Tag("1")), "a/b:1", "docker.io/a/b:1", "a/b:1"),
        (Image(DOCKER_HUB.repository("library/a.b")), "docker.io/library/a.b", "docker.io/library/a.b:latest", "a.b"),
        (
            Image(Registry("quay.io").repository("library/a"), Digest.parse(A)),
            f"quay.io/library/a@{A}",
            f"quay.io/library/a@{A}",
            f"library/a@{A}",
        ),
    ],
)
def test_an_image_is_written_as_docker_writes_it(image: Image, written: str, full: str, short: str) -> None:
    assert (str(image), image.full_name, image.short_path) == (written, full, short)


@given(strategies.hosts, strategies.names, strategies.tags)
def test_what_is_written_out_is_read_back(host: str, name: str, tag: str) -> None:
    image = Image(Registry(host).repository(name), Tag(tag))
    assert ImageName.split(image.full_name) == ImageName(host, name, tag)
