"""Which Content-Type a manifest is answered with, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.manifests import NoManifest, manifest_type

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution"
DOCKER_MANIFEST, DOCKER_LIST = f"{DOCKER}.manifest.v2+json", f"{DOCKER}.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
VAGUE = [None, "", "application/octet-stream", "text/plain", "text/plain; charset=utf-8", "application/json", "x"]


def document(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("said", VAGUE)
@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (document(schemaVersion=2, mediaType=OCI_INDEX, manifests=[]), OCI_INDEX),
        (document(mediaType=ARTIFACT), ARTIFACT),
        (document(schemaVersion=2, config={"mediaType": "application/vnd.x+json"}, layers=[]), OCI_MANIFEST),
        (document(schemaVersion=2, config={"mediaType": DOCKER_CONFIG}, layers=[]), DOCKER_MANIFEST),
        (document(schemaVersion=2, mediaType=7, config={}, layers=[]), OCI_MANIFEST),
        (document(schemaVersion=2, mediaType="text/html", layers=[], config=[]), OCI_MANIFEST),
        (document(schemaVersion=2, manifests=[{"mediaType": DOCKER_MANIFEST}]), DOCKER_LIST),
        (document(schemaVersion=2, manifests=[{"mediaType": OCI_MANIFEST}]), OCI_INDEX),
        (document(schemaVersion=2, manifests=[]), OCI_INDEX),
        (document(schemaVersion=1, fsLayers=[], signatures=[{}]), f"{DOCKER}.manifest.v1+prettyjws"),
        (document(schemaVersion=1, fsLayers=[]), f"{DOCKER}.manifest.v1+json"),
    ],
)
def test_what_its_registry_leaves_open_it_says_itself(content: bytes, media_type: str, said: str | None) -> None:
    assert manifest_type(content, said) == media_type


@pytest.mark.parametrize("said", [OCI_INDEX, "application/vnd.x.y+json", f"{OCI_INDEX}; charset=utf-8"])
def test_what_its_registry_says_counts(said: str) -> None:
    assert manifest_type(document(schemaVersion=2, mediaType=OCI_MANIFEST, layers=[]), said) == said


def test_of_what_has_no_shape_it_is_said_that_it_is_json_or_bytes() -> None:
    assert manifest_type(document(schemaVersion=2), "application/json") == "application/json"
    assert manifest_type(document(schemaVersion=2), "text/plain") == "application/octet-stream"


@pytest.mark.parametrize(
    ("content", "said", "what"),
    [
        (b"", None, "nothing"),
        (b" \n", "text/html", "nothing"),
        (b"<html>Log in</html>", "text/html", "a page in HTML, as text/html"),
        (b"\n<!DOCTYPE html>", OCI_INDEX, f"a page in HTML, as {OCI_INDEX}"),
        (b"OK", "text/plain", "something that is no JSON, as text/plain"),
        (b"OK", "text/\x07plain", "something that is no JSON"),
        (document(errors=[{"code": "DENIED"}]), "application/json", "JSON that is no manifest, as application/json"),
        (document(), OCI_MANIFEST, f"JSON that is no manifest, as {OCI_MANIFEST}"),
        (document(mediaType="text/html"), None, "JSON that is no manifest"),
        (b"[]", None, "JSON that is no manifest"),
        (b'"schemaVersion"', None, "JSON that is no manifest"),
    ],
)
def test_what_is_none_is_told_apart(content: bytes, said: str | None, what: str) -> None:
    with pytest.raises(NoManifest) as raised:
        manifest_type(content, said)
    assert str(raised.value) == what


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(["schemaVersion", "mediaType", "manifests", "layers", "config", "signatures"])


@given(st.binary() | st.dictionaries(FIELDS, JSON_VALUES).map(lambda fields: document(**fields)), st.none() | st.text())
def test_whatever_it_is_there_is_a_type_or_it_is_none(content: bytes, said: str | None) -> None:
    try:
        told = manifest_type(content, said)
    except NoManifest as error:
        told = str(error)
    assert told
    assert told.isprintable()
