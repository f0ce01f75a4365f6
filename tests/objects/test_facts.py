from __future__ import annotations

import json

import pytest
from twisted.internet.task import Clock

from crproxy.objects.facts import again, drafts, used_in
from crproxy.objects.outbox import Draft
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.object_keys import parse_key
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, Notes, Stored, TagEntry

A = Digest.of(b"a")
KEY = f"v1/blobs/sha256/{A.hex[:2]}/{A.hex}"
VIEW = ("quay.io", "org/name", "")


@pytest.fixture
def notes() -> Notes:
    return Notes()


def said(draft: Draft) -> object:
    assert draft.content is not None
    assert draft.size == len(draft.content)
    return json.loads(draft.content)


def test_what_was_stored_is_to_be_uploaded(notes: Notes) -> None:
    notes.note((str(A), ""), Stored(10, 1.0, checked=1.0))
    notes.note((str(A), "quay.io"), Stored(20, 1.0, checked=1.0))
    ours = Entry(A, Registry("quay.io"))
    assert list(drafts(notes)) == [Draft(KEY, 10, Entry(A)), Draft(KEY.replace("v1/", "v1/pools/quay.io/"), 20, ours)]


def test_what_nobody_has_read_and_what_was_dropped_are_not(notes: Notes) -> None:
    notes.note((str(A), ""), Stored(10, 1.0))
    notes.note((str(A), "quay.io"), None)
    notes.used[str(A), ""] = notes.checked[str(A), ""] = 5.0
    assert list(drafts(notes)) == []


def test_a_link_is_told_and_taken_back(notes: Notes) -> None:
    notes.links[(str(A), *VIEW)] = Link("application/json", 10, 5.0)
    (draft,) = drafts(notes)
    assert draft.key == f"v1/links/sha256/{A.hex}/quay.io/org/name/-/-"
    assert said(draft) == {"media_type": "application/json", "size": 10, "confirmed": 5.0}
    notes.links[(str(A), *VIEW)] = None
    assert list(drafts(notes)) == [Draft(draft.key)]


def test_what_clients_brought_is_told_as_theirs(notes: Notes) -> None:
    notes.links[str(A), "quay.io", "org/name", "*"] = Link()
    (draft,) = drafts(notes)
    assert draft.key == f"v1/links/sha256/{A.hex}/quay.io/org/name/-/%2A"


def test_a_media_type_that_is_no_text_is_left_out(notes: Notes) -> None:
    notes.links[(str(A), *VIEW)] = Link("a\r\nb", 10, 5.0)
    assert said(next(drafts(notes))) == {"media_type": None, "size": 10, "confirmed": 5.0}


def test_a_tag_is_told_and_taken_back(notes: Notes) -> None:
    notes.tags["quay.io", "org/name", "before/v1", "cred"] = TagEntry(A, 5.0)
    (draft,) = drafts(notes)
    assert draft.key == "v1/tags/quay.io/org/name/-/cred/before%2Fv1"
    assert said(draft) == {"digest": str(A), "checked": 5.0}
    notes.tags["quay.io", "org/name", "before/v1", "cred"] = None
    assert list(drafts(notes)) == [Draft(draft.key)]


def test_refusals_come_before_what_was_confirmed_since(notes: Notes) -> None:
    notes.links[(str(A), *VIEW)] = Link(None, 10, 6.0)
    notes.revoke(VIEW, 5.0)
    refusal, link = drafts(notes)
    assert (refusal.key, said(refusal)) == ("v1/revoked/quay.io/org/name/-/-", {"at": 5.0})
    assert link.key.startswith("v1/links/")


def test_all_that_a_cache_notes_has_a_key(notes: Notes, clock: Clock) -> None:
    view = View(Registry.parse("[2001:db8::1]:5000").repository("a/b"), "cred")
    whose = (view.repository.registry.name, view.repository.path, view.credential)
    notes.links[(str(A), *whose)] = Link()
    for name in ("v1", "before/v1", "tags/list?n=5", f"referrers/{A}?artifactType=a%2Fb"):
        notes.tags[whose[0], whose[1], name, whose[2]] = TagEntry(A, 1.0)
    assert all(parse_key(draft.key) is not None for draft in drafts(notes))


def test_what_was_stored_and_what_was_asked_for_is_used() -> None:
    notes, other = Notes(), Digest.of(b"b")
    notes.blobs = {
        (str(A), ""): Stored(10, 1.0, checked=1.0),
        (str(A), "quay.io"): Stored(10, 1.0),
        (str(other), "quay.io"): None,
    }
    notes.used = {(str(A), ""): 2.0, (str(other), ""): 2.0}
    assert used_in(notes) == ([Entry(A)], [Entry(other)])
    assert used_in(Notes()) == ([], [])


def test_what_may_have_gone_is_put_there_again_where_it_is_on_disk() -> None:
    there = {Entry(A): Stored(10, 1.0, checked=1.0), Entry(A, Registry("quay.io")): Stored(10, 1.0)}
    assert again([*there, Entry(Digest.of(b"b"))], there.get) == [Draft(KEY, 10, Entry(A))]
