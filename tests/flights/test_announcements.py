from __future__ import annotations

from twisted.internet.task import Clock

from crproxy.flights.announcements import Announcement, Announcements
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.sharing import Alone
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from tests.sharing.crew import Crew

ENTRY = Entry(Digest.of(b"blob"))
KEY, ELSEWHERE = PartialKey(ENTRY, Registry("quay.io")), PartialKey(ENTRY, Registry("docker.io"))


def test_what_one_registry_says_of_a_blob_is_not_said_by_another() -> None:
    crew = Crew()
    one, other = (Announcements(crew.member(slot), Clock()) for slot in range(2))
    one.put(KEY, "somebody", 4)
    assert other.said(KEY) == Announcement("somebody", 4)
    assert other.said(ELSEWHERE) is None
    one.drop(KEY)
    assert other.said(KEY) is None


def test_nobody_else_is_told_what_is_nobody_elses() -> None:
    crew = Crew()
    one, other = (Announcements(crew.member(slot), Clock()) for slot in range(2))
    one.put(KEY, None, 4)
    assert other.said(KEY) is None


def test_who_is_alone_says_nothing() -> None:
    alone = Announcements(Alone(), Clock())
    alone.put(KEY, "somebody", 4)
    assert alone.said(KEY) is None
