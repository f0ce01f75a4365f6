from __future__ import annotations

import itertools

import pytest

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.pullthrough.rights import has_right, widest
from crproxy.store.entries import Entry, View
from crproxy.store.index import Link
from crproxy.store.store import Store
from tests.memory import ended
from tests.pullthrough.conftest import OTHER, REPOSITORY

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
ANYBODYS = View(REPOSITORY)
PROXYS = View(REPOSITORY, private=True)
ALICES = View(REPOSITORY, private=True, caller="Bearer of alice")
BOBS = View(REPOSITORY, private=True, caller="Bearer of bob")
VIEWS = (ANYBODYS, PROXYS, ALICES, BOBS)


def kept(store: Store, view: View) -> None:
    """What is fetched through this view is here, and it has a right to it."""
    ended(store.keep(view.entry(DIGEST), CONTENT))
    store.index.link(view, [(DIGEST, Link())])


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_anybodys_before_upstream_gave_it(store: Store, view: View) -> None:
    assert not has_right(store, view, DIGEST)
    assert widest(store, view, DIGEST) == view


@pytest.mark.parametrize(("brought", "asks"), list(itertools.product(VIEWS, repeat=2)))
def test_s11_a_right_is_that_of_whoever_brought_it(store: Store, brought: View, asks: View) -> None:
    kept(store, brought)
    assert has_right(store, asks, DIGEST) == (asks == brought and asks.caller is None)


@pytest.mark.parametrize("view", [ALICES, BOBS])
def test_s12_clients_have_none_that_lasts(store: Store, view: View) -> None:
    """Nor by what they brought themselves."""
    for each in (ALICES, PROXYS):
        kept(store, each)
    assert not has_right(store, view, DIGEST)
    assert widest(store, view, DIGEST) == view


def test_what_anybody_has_clients_have(store: Store) -> None:
    kept(store, ANYBODYS)
    assert widest(store, ALICES, DIGEST) == ANYBODYS
    assert has_right(store, widest(store, ALICES, DIGEST), DIGEST)


def test_but_not_what_anybody_has_elsewhere(store: Store) -> None:
    """S11: the digest is no secret, the repository may be."""
    kept(store, View(OTHER))
    kept(store, View(Registry("ghcr.io").repository("org/name")))
    assert widest(store, ALICES, DIGEST) == ALICES


def test_nor_what_anybody_could_have_and_is_not_here(store: Store) -> None:
    """Through their own view they may get it, and are asked for by themselves."""
    store.index.link(ANYBODYS, [(DIGEST, Link())])
    assert widest(store, ALICES, DIGEST) == ALICES
    kept(store, ANYBODYS)
    store.drop(Entry(DIGEST))
    assert widest(store, ALICES, DIGEST) == ALICES


def test_the_proxys_own_view_stays_as_it_is(store: Store) -> None:
    """Its content is in a pool of its own, and its rights are checked there."""
    kept(store, ANYBODYS)
    for view in (ANYBODYS, PROXYS):
        assert widest(store, view, DIGEST) == view
