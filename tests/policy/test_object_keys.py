from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry, Repository
from crproxy.policy.object_keys import (
    BlobKey,
    LinkContent,
    LinkKey,
    RevokedContent,
    RevokedKey,
    TagContent,
    TagKey,
    ViewNames,
    links_below,
    parse_key,
    parse_link,
    parse_revoked,
    parse_tag,
    tags_below,
)
from tests import strategies

HEX = "ab" * 32
DIGEST = Digest("sha256", HEX)
LOCAL = Registry("localhost:5000")
NGINX = ViewNames(Repository(DOCKER_HUB, "library/nginx"))

registries = st.builds(
    lambda host, port: Registry.parse(f"{host}{port}"),
    st.one_of(strategies.hosts, st.sampled_from(["localhost", "192.0.2.1", "[2001:db8::1]"])),
    st.sampled_from(["", ":5000", ":80"]),
)
credentials = st.sampled_from(["", "*", "0a1b2c3d", "-", "..", ".", "a/b", "%2F", "%", "~", "=sha256-"])
digests = strategies.digests.map(Digest.parse)
# What is kept like a tag: lists, and a tag's past; and any text at all.
kept_names = st.one_of(
    strategies.tags,
    strategies.tags.map("before/{}".format),
    strategies.digests.map("referrers/{}?artifactType=a%2Fb".format),
    st.just("tags/list?n=10&last=v1"),
    st.sampled_from(["-", ".", "..", "/", "a//b", "../../x", "%2F", "~", "=sha256-" + HEX, "ä", "\x00", "a\nb", "😀"]),
    st.text(min_size=1, max_size=300),
)


@st.composite
def views(draw: st.DrawFn) -> ViewNames:
    registry, path = draw(registries), draw(strategies.names)
    assume(len(registry.name) + 1 + len(path) <= 255)
    return ViewNames(Repository(registry, path), draw(credentials))


keys = st.one_of(
    st.builds(BlobKey, digests, st.one_of(st.none(), registries)),
    st.builds(LinkKey, views(), digests),
    st.builds(TagKey, views(), kept_names),
    st.builds(RevokedKey, views()),
)
moments = st.floats(0, 1e12)


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (BlobKey(DIGEST), f"v1/blobs/sha256/ab/{HEX}"),
        (BlobKey(DIGEST, Registry("quay.io")), f"v1/pools/quay.io/blobs/sha256/ab/{HEX}"),
        (BlobKey(DIGEST, LOCAL), f"v1/pools/localhost%3A5000/blobs/sha256/ab/{HEX}"),
        (LinkKey(NGINX, DIGEST), f"v1/links/sha256/{HEX}/docker.io/library/nginx/-/-"),
        (LinkKey(ViewNames(NGINX.repository, "*"), DIGEST), f"v1/links/sha256/{HEX}/docker.io/library/nginx/-/%2A"),
        (TagKey(NGINX, "latest"), "v1/tags/docker.io/library/nginx/-/-/latest"),
        (TagKey(NGINX, "before/v1"), "v1/tags/docker.io/library/nginx/-/-/before%2Fv1"),
        (TagKey(NGINX, "tags/list?n=5"), "v1/tags/docker.io/library/nginx/-/-/tags%2Flist%3Fn%3D5"),
        (TagKey(NGINX, ".."), "v1/tags/docker.io/library/nginx/-/-/%2E."),
        (TagKey(NGINX, "-"), "v1/tags/docker.io/library/nginx/-/-/%2D"),
        (RevokedKey(ViewNames(NGINX.repository, "0a1b2c3d")), "v1/revoked/docker.io/library/nginx/-/0a1b2c3d"),
    ],
)
def test_what_an_object_is_called(key: object, written: str) -> None:
    assert str(key) == written
    assert parse_key(written) == key


@given(keys)
def test_a_key_is_read_back(key: BlobKey | LinkKey | TagKey | RevokedKey) -> None:
    # What is too long for a file's name is named by its hash.
    assert parse_key(str(key)) == key or "=sha256-" in str(key)


@given(keys, keys)
def test_two_things_have_two_keys(one: object, other: object) -> None:
    assert (str(one) == str(other)) is (one == other)


@given(keys)
def test_a_key_can_be_a_file(key: object) -> None:
    parts = str(key).split("/")
    assert all(0 < len(part.encode()) <= 255 and part not in (".", "..") for part in parts)
    assert str(key).isascii()
    assert str(key).isprintable()
    assert len(str(key)) <= 1024 - 200, "S3 has 1024 bytes, some of which are the prefix of the URL"


@given(keys, keys)
def test_no_key_is_a_directory_of_another(one: object, other: object) -> None:
    assert not str(other).startswith(f"{one}/")


@given(st.sampled_from(["a", "a/b", "a/b/c"]), st.sampled_from(["a", "a/b"]), kept_names, kept_names)
def test_repositories_within_one_another_are_apart(inner: str, outer: str, one: str, other: str) -> None:
    first, second = ViewNames(Repository(LOCAL, inner)), ViewNames(Repository(LOCAL, outer))
    assume(first != second)
    assert not str(TagKey(first, one)).startswith(f"{TagKey(second, other)}/")
    assert not str(TagKey(first, one)).startswith(tags_below(second) + "/")


@given(views(), digests)
def test_a_link_is_below_what_is_listed(view: ViewNames, digest: Digest) -> None:
    key = str(LinkKey(view, digest))
    assert key.startswith(links_below(digest) + "/")
    assert key.startswith(links_below(digest, view.repository.registry) + "/")


@given(views(), kept_names)
def test_a_tag_is_below_what_is_listed(view: ViewNames, name: str) -> None:
    assert str(TagKey(view, name)).startswith(tags_below(view) + "/")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "v1",
        "v1/",
        "v2/blobs/sha256/ab/" + HEX,
        "v1/blobs/sha256/ac/" + HEX,
        "v1/blobs/sha256/ab/" + HEX.upper(),
        f"v1/blobs/sha256/ab/{HEX}/",
        f"/v1/blobs/sha256/ab/{HEX}",
        f"v1/pools//blobs/sha256/ab/{HEX}",
        f"v1/pools/localhost:5000/blobs/sha256/ab/{HEX}",
        f"v1/pools/..%2F/blobs/sha256/ab/{HEX}",
        f"v1/links/sha256/{HEX}",
        f"v1/links/sha256/{HEX}/docker.io",
        f"v1/links/sha256/{HEX}/docker.io/-",
        f"v1/links/sha256/{HEX}/docker.io/library/nginx/-",
        f"v1/links/sha256/{HEX}/docker.io/library/nginx/-/",
        f"v1/links/sha256/{HEX}/docker.io/library/../nginx/-/-",
        f"v1/links/sha256/{HEX}/index.docker.io/library/nginx/-/-",
        "v1/tags/docker.io/library/nginx/-/-/",
        "v1/tags/docker.io/library/nginx/-/-/%6Catest",
        "v1/tags/docker.io/library/nginx/-/-/a%2fb",
        "v1/tags/docker.io/library/nginx/-/-/=sha256-" + HEX,
        "v1/tags",
        "v1/revoked",
        "v1/revoked/docker.io",
        "v1/other/docker.io/x",
    ],
)
def test_what_is_no_key_of_ours(key: str) -> None:
    assert parse_key(key) is None


@given(st.one_of(st.text(), st.lists(st.sampled_from(["v1", "tags", "-", "", "a", "%", "docker.io"])).map("/".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = parse_key(text)
    assert found is None or str(found) == text


@given(st.one_of(st.none(), st.text("abz/+.-;= ")), st.one_of(st.none(), st.integers(0, 2**62 - 1)), moments)
def test_a_link_is_read_back(media_type: str | None, size: int | None, confirmed: float) -> None:
    link = LinkContent(media_type, size, confirmed)
    assert parse_link(bytes(link)) == link


@given(digests, moments)
def test_a_tag_is_read_back(digest: Digest, checked: float) -> None:
    tag = TagContent(digest, checked)
    assert parse_tag(bytes(tag)) == tag


@given(moments)
def test_a_refusal_is_read_back(at: float) -> None:
    assert parse_revoked(bytes(RevokedContent(at))) == RevokedContent(at)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for parse in (parse_link, parse_tag, parse_revoked):
        assert parse(content) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"media_type": 1, "confirmed": 1},
        {"media_type": "a\r\nb", "confirmed": 1},
        {"size": -1, "confirmed": 1},
        {"size": True, "confirmed": 1},
        {"size": 1.5, "confirmed": 1},
        {"size": 2**62, "confirmed": 1},
        {"confirmed": "1"},
        {"confirmed": -1},
        {"confirmed": True},
        {"confirmed": 1e15},
        {"media_type": None, "size": None},
        [],
        None,
        "confirmed",
    ],
)
def test_what_is_no_link(fields: object) -> None:
    assert parse_link(json.dumps(fields).encode()) is None


@pytest.mark.parametrize("content", [b'{"confirmed": NaN}', b'{"confirmed": Infinity}', b'{"confirmed": 1e999}'])
def test_no_moment_is_without_end(content: bytes) -> None:
    assert parse_link(content) is None


@pytest.mark.parametrize(
    "fields", [{"digest": "x", "checked": 1}, {"digest": 1, "checked": 1}, {"digest": str(DIGEST)}]
)
def test_what_is_no_tag(fields: object) -> None:
    assert parse_tag(json.dumps(fields).encode()) is None
