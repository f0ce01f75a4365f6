from __future__ import annotations

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry, View

DIGEST = Digest.of(b"x")
REPOSITORY = Registry("quay.io").repository("org/name")


def test_what_anybody_can_have_is_in_one_pool() -> None:
    assert View(REPOSITORY).entry(DIGEST) == View(Registry("ghcr.io").repository("a/b")).entry(DIGEST) == Entry(DIGEST)


def test_what_took_credentials_is_in_its_registrys() -> None:
    assert View(REPOSITORY, "account").entry(DIGEST) == Entry(DIGEST, Registry("quay.io"))


def test_an_entry_says_whose_it_is() -> None:
    assert str(Entry(DIGEST)) == str(DIGEST)
    assert str(Entry(DIGEST, Registry("quay.io"))) == f"{DIGEST} of quay.io"


def test_what_took_a_clients_credentials_is_its_registrys_too() -> None:
    """Whoever may have it shares the bytes."""
    view = View(REPOSITORY, caller="Bearer of alice")
    assert view.entry(DIGEST) == Entry(DIGEST, Registry("quay.io"))


def test_s10_two_clients_views_are_two() -> None:
    views = {View(REPOSITORY, "account", caller) for caller in (None, "Bearer of alice", "Bearer of bob")}
    assert len(views) == 3
    assert "Bearer" not in repr(views)
