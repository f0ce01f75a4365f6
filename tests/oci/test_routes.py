from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Tag
from crproxy.oci.routes import (
    BlobRequest,
    ManifestRequest,
    Ping,
    ReferrersRequest,
    TagsRequest,
    parse_path,
)
from tests import strategies
from tests.outcomes import outcome

DIGEST = Digest.of(b"")


def refusal(path: str) -> ErrorCode:
    with pytest.raises(RegistryError) as raised:
        parse_path(path)
    return raised.value.code


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_root_of_the_api_is_a_ping(path: str) -> None:
    assert parse_path(path) == Ping()


@given(strategies.names, strategies.tags)
def test_a_manifest_is_asked_for_by_tag(name: str, tag: str) -> None:
    assert parse_path(f"/v2/{name}/manifests/{tag}") == ManifestRequest(name, Tag(tag))


@given(strategies.names, strategies.digests)
def test_a_manifest_is_asked_for_by_digest(name: str, digest: str) -> None:
    assert parse_path(f"/v2/{name}/manifests/{digest}") == ManifestRequest(name, Digest.parse(digest))


@given(strategies.names, strategies.digests)
def test_a_blob_is_asked_for_by_digest(name: str, digest: str) -> None:
    assert parse_path(f"/v2/{name}/blobs/{digest}") == BlobRequest(name, Digest.parse(digest))


@given(strategies.names, strategies.digests)
def test_referrers_are_asked_for_by_digest(name: str, digest: str) -> None:
    assert parse_path(f"/v2/{name}/referrers/{digest}") == ReferrersRequest(name, Digest.parse(digest))


@given(strategies.names)
def test_tags_are_asked_for_by_name(name: str) -> None:
    assert parse_path(f"/v2/{name}/tags/list") == TagsRequest(name)


@pytest.mark.parametrize("registry", ["quay.io", "localhost:5000", "[::1]:5000"])
def test_a_registry_in_front_of_the_name_stays_there(registry: str) -> None:
    assert parse_path(f"/v2/{registry}/org/name/tags/list") == TagsRequest(f"{registry}/org/name")


@pytest.mark.parametrize("word", ["manifests", "blobs", "tags", "referrers", "list", "uploads", "v2"])
def test_a_repository_may_be_called_as_an_endpoint_is(word: str) -> None:
    assert parse_path(f"/v2/org/{word}/manifests/v1") == ManifestRequest(f"org/{word}", Tag("v1"))
    assert parse_path(f"/v2/{word}/tags/list") == TagsRequest(word)


def test_a_name_that_contains_a_whole_endpoint_is_the_longest_one() -> None:
    assert parse_path("/v2/a/manifests/b/manifests/c") == ManifestRequest("a/manifests/b", Tag("c"))


@pytest.mark.security("S13")
@pytest.mark.parametrize(
    "part",
    ["..", ".", "", "%2e%2e", "%2F", "a%2Fb", "a\\b", "a\x00b", "a b", "a\nb", "a?b", "a#b", "é", "a@b", "a;b", "~"],
)
def test_a_name_with_what_no_name_holds_is_invalid(part: str) -> None:
    assert refusal(f"/v2/org/{part}/name/manifests/v1") is ErrorCode.NAME_INVALID
    assert refusal(f"/v2/{part}/name/blobs/{DIGEST}") is ErrorCode.NAME_INVALID


@pytest.mark.security("S13")
@pytest.mark.parametrize("rest", ["..", ".", "%2e", "v1%00", "v 1", "v1\n"])
def test_a_reference_with_what_no_name_holds_is_invalid(rest: str) -> None:
    assert refusal(f"/v2/name/manifests/{rest}") is ErrorCode.NAME_INVALID


@pytest.mark.parametrize("rest", ["-v1", ".v1", "a" * 129, "v=1", "[v1]"])
def test_what_is_no_tag_is_an_invalid_tag(rest: str) -> None:
    assert refusal(f"/v2/name/manifests/{rest}") is ErrorCode.TAG_INVALID


@pytest.mark.parametrize("kind", ["manifests", "blobs", "referrers"])
@pytest.mark.parametrize("rest", ["sha256:abc", "sha1:" + "0" * 40, "a:b", f"{DIGEST}:"])
def test_what_is_no_digest_is_an_invalid_digest(kind: str, rest: str) -> None:
    assert refusal(f"/v2/name/{kind}/{rest}") is ErrorCode.DIGEST_INVALID


@pytest.mark.parametrize("kind", ["blobs", "referrers"])
def test_a_blob_has_no_tag(kind: str) -> None:
    assert refusal(f"/v2/name/{kind}/latest") is ErrorCode.DIGEST_INVALID


@pytest.mark.parametrize(
    "path",
    ["/v2/_catalog", "/v2/_catalog/", "/v2/name/blobs/uploads/", "/v2/name/blobs/uploads/id", "/v2/a/b/blobs/uploads"],
)
def test_what_a_proxy_does_not_have_is_unsupported(path: str) -> None:
    assert refusal(path) is ErrorCode.UNSUPPORTED


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/",
        "/v22/",
        "v2/name/tags/list",
        "/V2/name/tags/list",
        "/v2/name",
        "/v2/name/",
        "/v2/name/manifests",
        "/v2/name/manifests/",
        "/v2/manifests/v1",
        "/v2/tags/list",
        "/v2/name/tags/lists",
        "/v2/name/tags/list/",
        "/v2/name/Manifests/v1",
    ],
)
def test_what_is_no_endpoint_is_not_there(path: str) -> None:
    assert refusal(path) is ErrorCode.NAME_UNKNOWN


REQUESTS = (Ping, ManifestRequest, BlobRequest, TagsRequest, ReferrersRequest)
PIECES = st.sampled_from(["v2", "manifests", "blobs", "tags", "list", "_catalog", "..", "", str(DIGEST), "a", "%2F"])


@given(st.text() | st.text().map("/v2/".__add__) | st.lists(PIECES).map("/".join).map("/v2/".__add__))
@example("/v2//")
def test_any_path_is_a_request_or_a_registry_error(path: str) -> None:
    found = outcome(RegistryError, parse_path, path)
    assert found.status in (400, 404, 405) if isinstance(found, RegistryError) else isinstance(found, REQUESTS)


@given(st.binary().map(b"/v2/".__add__))
def test_any_bytes_are_a_request_or_a_registry_error(path: bytes) -> None:
    found = outcome(RegistryError, parse_path, path.decode("latin-1"))
    assert found.status in (400, 404, 405) if isinstance(found, RegistryError) else isinstance(found, REQUESTS)


@pytest.mark.security("S13")
@given(st.text(alphabet="ab/.:%-_", max_size=20), st.sampled_from(["manifests/v1", f"blobs/{DIGEST}", "tags/list"]))
def test_no_name_that_parses_climbs_or_is_escaped(name: str, endpoint: str) -> None:
    try:
        request = parse_path(f"/v2/{name}/{endpoint}")
    except RegistryError:
        return
    assert not isinstance(request, Ping)
    assert not {"", ".", ".."} & set(request.name.split("/"))
    assert "%" not in request.name
