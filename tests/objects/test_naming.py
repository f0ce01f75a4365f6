from __future__ import annotations

from crproxy.objects.naming import blob_key, entry_of, link_content, link_of, tag_content, tag_of, view_names
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.object_keys import BlobKey, ViewNames, parse_key, parse_link, parse_tag
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, TagEntry

A = Digest.of(b"a")
NGINX = DOCKER_HUB.repository("nginx")


def test_content_is_found_by_its_key() -> None:
    for entry in (Entry(A), Entry(A, Registry("localhost:5000"))):
        key = parse_key(blob_key(entry))
        assert isinstance(key, BlobKey)
        assert entry_of(key) == entry


def test_a_view_is_named_as_the_index_does() -> None:
    assert view_names(View(NGINX)) == ViewNames(NGINX)
    assert view_names(View(NGINX, "cred")) == ViewNames(NGINX, "cred")
    assert view_names(View(NGINX, caller="Bearer of alice")) == ViewNames(NGINX, "*")


def test_facts_are_read_back() -> None:
    link, tag = Link("application/json", 5, 6.0), TagEntry(A, 7.0)
    read = parse_link(link_content(link)), parse_tag(tag_content(tag))
    assert read[0] is not None
    assert read[1] is not None
    assert (link_of(read[0]), tag_of(read[1])) == (link, tag)
