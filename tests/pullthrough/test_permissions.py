"""The table of docs/decisions/0004-private-content.md, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.freshness import Lifetimes
from crproxy.policy.proofs import Proof
from crproxy.policy.refusals import Unconfirmed
from crproxy.pullthrough.permissions import Permissions
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended
from tests.pullthrough.conftest import OTHER, REPOSITORY
from tests.stores import HandRules, make_store

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
ELSEWHERE = Registry("ghcr.io").repository("org/name")
ANYBODYS = View(REPOSITORY)
PROXYS = View(REPOSITORY, "account")
WEAKER = View(REPOSITORY, "weaker")
ALICES = View(REPOSITORY, caller="Bearer of alice")
BOBS = View(REPOSITORY, caller="Bearer of bob")
VIEWS = (ANYBODYS, PROXYS, WEAKER, ALICES, BOBS)
LIFETIMES = Lifetimes(permission_ttl=100, stale_if_error=1000)
AWAY = RegistryError(ErrorCode.UNAVAILABLE, "it is away", retry_after=1)
DENIED = RegistryError(ErrorCode.DENIED, "you may not")
REFUSED_ELSEWHERE = Unconfirmed(ErrorCode.DENIED, "another host says that you may not")
UNKNOWN = RegistryError(ErrorCode.BLOB_UNKNOWN, "there is none")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000_000)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def rules() -> HandRules:
    return HandRules()


@pytest.fixture
def permissions(store: Store, rules: HandRules, clock: Clock) -> Permissions:
    return Permissions(store, lambda: rules, LIFETIMES, clock.seconds)


@pytest.fixture
def kept(store: Store, permissions: Permissions) -> None:
    """The bytes are here, anybody's and the registry's private ones, whoever may have them."""
    for view in (ANYBODYS, PROXYS):
        ended(store.keep(view.entry(DIGEST), CONTENT))


# What it takes to serve stored bytes


@pytest.mark.parametrize("view", VIEWS)
def test_s11_that_bytes_are_here_is_no_permission(permissions: Permissions, view: View, kept: None) -> None:
    assert permissions.proof(view, DIGEST) is (Proof.WORD if view.private else Proof.BYTES)


def test_what_is_in_a_registrys_own_pool_it_gave_itself(store: Store, permissions: Permissions, kept: None) -> None:
    """So its word is enough after the index was lost; not where the bytes are not here."""
    permissions.confirmed(PROXYS, DIGEST)
    assert permissions.proof(PROXYS, DIGEST) is Proof.GIVEN
    store.drop(PROXYS.entry(DIGEST))
    assert permissions.proof(WEAKER, DIGEST) is Proof.WORD
    assert permissions.proof(View(ELSEWHERE, "account"), DIGEST) is Proof.BYTES


@pytest.mark.parametrize("given", VIEWS)
@pytest.mark.parametrize("asks", VIEWS)
def test_s11_a_permission_is_that_of_the_credential_that_got_it(
    permissions: Permissions, rules: HandRules, given: View, asks: View
) -> None:
    """Of a registry that gave the bytes, its word is enough for the others."""
    rules.closed.add(REPOSITORY)
    permissions.given(given, DIGEST)
    is_its_own = asks == given and asks.caller is None
    assert permissions.proof(asks, DIGEST) is (Proof.GIVEN if is_its_own else Proof.WORD)


def test_what_every_client_may_pull_is_shared(permissions: Permissions) -> None:
    """A layer that docker.io gave is no question to ghcr.io, where both are open to everybody."""
    permissions.given(View(ELSEWHERE), DIGEST)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.GIVEN
    assert permissions.proof(View(OTHER), DIGEST) is Proof.GIVEN


def test_s11_what_only_some_clients_may_pull_is_not(permissions: Permissions, rules: HandRules) -> None:
    rules.closed.add(ELSEWHERE)
    permissions.given(View(ELSEWHERE), DIGEST)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.BYTES
    assert permissions.proof(View(ELSEWHERE), DIGEST) is Proof.GIVEN


def test_s11_nor_what_took_credentials(permissions: Permissions) -> None:
    for view in (View(ELSEWHERE, "account"), View(ELSEWHERE, caller="Bearer of alice")):
        permissions.given(view, DIGEST)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.BYTES


def test_s11_nor_with_who_logged_in_elsewhere(permissions: Permissions, rules: HandRules) -> None:
    permissions.given(View(ELSEWHERE), DIGEST)
    rules.apart.add(REPOSITORY.registry)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.BYTES


def test_what_is_shared_follows_the_rules_that_count_now(permissions: Permissions, rules: HandRules) -> None:
    permissions.given(View(ELSEWHERE), DIGEST)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.GIVEN
    rules.closed.add(ELSEWHERE)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.BYTES
    rules.closed.clear()
    rules.credentials[ELSEWHERE.registry] = "account"
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.BYTES


# What upstream's word is worth


@pytest.mark.parametrize("view", VIEWS)
def test_s11_a_registry_that_never_gave_the_bytes_proves_nothing_by_its_word(
    permissions: Permissions, rules: HandRules, view: View
) -> None:
    rules.closed.add(ELSEWHERE)
    permissions.given(View(ELSEWHERE), DIGEST)
    permissions.confirmed(view, DIGEST)
    assert permissions.proof(view, DIGEST) is Proof.BYTES


def test_one_that_gave_them_for_another_repository_does(permissions: Permissions, rules: HandRules) -> None:
    rules.closed.add(OTHER)
    permissions.given(View(OTHER), DIGEST)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.WORD
    permissions.confirmed(ANYBODYS, DIGEST, size=7)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.GIVEN


# How long it counts


def test_s12_what_credentials_opened_is_asked_for_again(permissions: Permissions, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST)
    clock.advance(99)
    assert permissions.proof(PROXYS, DIGEST) is Proof.GIVEN
    clock.advance(1)
    assert permissions.proof(PROXYS, DIGEST) is Proof.WORD
    permissions.confirmed(PROXYS, DIGEST)
    assert permissions.proof(PROXYS, DIGEST) is Proof.GIVEN


def test_what_anybody_had_is_not(permissions: Permissions, rules: HandRules, clock: Clock) -> None:
    """It is no secret (S12), and what a digest names does not change."""
    rules.closed.add(REPOSITORY)
    permissions.given(ANYBODYS, DIGEST)
    clock.advance(1e9)
    assert permissions.proof(ANYBODYS, DIGEST) is Proof.GIVEN


def test_s12_after_a_clock_was_set_back_it_is_asked_for(store: Store, rules: HandRules, clock: Clock) -> None:
    times = [100.0]
    permissions = Permissions(store, lambda: rules, LIFETIMES, lambda: times[0])
    permissions.given(PROXYS, DIGEST)
    assert permissions.proof(PROXYS, DIGEST) is Proof.WORD


@pytest.mark.parametrize("code", [ErrorCode.DENIED, ErrorCode.UNAUTHORIZED])
def test_s12_a_refusal_ends_all_that_the_credential_had_of_the_repository(
    permissions: Permissions, code: ErrorCode
) -> None:
    others = (WEAKER, View(OTHER, "account"), ANYBODYS)
    for view in (PROXYS, *others):
        permissions.given(view, DIGEST)
    permissions.refused(PROXYS, RegistryError(code, "you may not"))
    assert permissions.link(PROXYS, DIGEST) is None
    assert all(permissions.link(view, DIGEST) is not None for view in others)


def test_s12_but_not_what_anybody_had(permissions: Permissions) -> None:
    permissions.given(ANYBODYS, DIGEST)
    permissions.refused(ANYBODYS, DENIED)
    assert permissions.link(ANYBODYS, DIGEST) is not None


@pytest.mark.parametrize("error", [AWAY, UNKNOWN, REFUSED_ELSEWHERE])
def test_other_trouble_ends_nothing(permissions: Permissions, error: RegistryError) -> None:
    permissions.given(PROXYS, DIGEST)
    permissions.refused(PROXYS, error)
    assert permissions.link(PROXYS, DIGEST) is not None


# While upstream cannot be asked


def test_what_it_confirmed_before_is_served_with_a_warning(permissions: Permissions, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST, "type/x", 7)
    clock.advance(500)
    link, warning = permissions.stale(PROXYS, DIGEST, AWAY)
    assert (link.media_type, link.size) == ("type/x", 7)
    assert warning == '299 crproxy "served from the cache, last checked 8 min ago: it is away"'


def test_also_where_another_host_refuses_it(permissions: Permissions, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST)
    clock.advance(500)
    assert "another host says" in permissions.stale(PROXYS, DIGEST, REFUSED_ELSEWHERE)[1]


@pytest.mark.parametrize("error", [DENIED, UNKNOWN])
def test_s12_but_not_what_it_says_no_to(permissions: Permissions, error: RegistryError, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST)
    clock.advance(500)
    with pytest.raises(RegistryError) as raised:
        permissions.stale(PROXYS, DIGEST, error)
    assert raised.value is error


def test_s12_nor_what_it_said_no_to_before(permissions: Permissions, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST)
    permissions.refused(PROXYS, DENIED)
    with pytest.raises(RegistryError, match="it is away"):
        permissions.stale(PROXYS, DIGEST, AWAY)


def test_nor_for_ever(permissions: Permissions, clock: Clock) -> None:
    permissions.given(PROXYS, DIGEST)
    clock.advance(1001)
    with pytest.raises(RegistryError, match="it is away"):
        permissions.stale(PROXYS, DIGEST, AWAY)


@pytest.mark.parametrize("view", [WEAKER, ALICES, ANYBODYS])
def test_nor_what_it_never_gave(permissions: Permissions, view: View) -> None:
    for each in (PROXYS, BOBS):
        permissions.given(each, DIGEST)
    with pytest.raises(RegistryError, match="it is away"):
        permissions.stale(view, DIGEST, AWAY)


# What is being fetched


@pytest.mark.parametrize("view", VIEWS)
def test_who_began_a_fetch_may_read_it(permissions: Permissions, rules: HandRules, view: View) -> None:
    rules.closed.add(REPOSITORY)
    assert permissions.may_join(view, view)


def test_who_asks_beside_may_where_everybody_may(permissions: Permissions, rules: HandRules) -> None:
    assert permissions.may_join(ANYBODYS, View(ELSEWHERE))
    assert not permissions.may_join(ANYBODYS, View(ELSEWHERE, "account"))
    assert not permissions.may_join(PROXYS, View(OTHER, "account"))
    assert not permissions.may_join(ALICES, BOBS)
    rules.apart.add(REPOSITORY.registry)
    assert not permissions.may_join(ANYBODYS, View(ELSEWHERE))
    rules.apart.clear()
    rules.closed.add(ELSEWHERE)
    assert not permissions.may_join(ANYBODYS, View(ELSEWHERE))


# Clients with credentials of their own


@pytest.mark.parametrize("view", [ALICES, BOBS])
def test_s12_clients_have_no_permission_that_lasts(permissions: Permissions, view: View, kept: None) -> None:
    """Nor by what they brought themselves."""
    for each in (ALICES, PROXYS):
        permissions.given(each, DIGEST)
    assert permissions.widest(view, DIGEST) == view
    assert permissions.proof(view, DIGEST) is Proof.WORD


def test_what_anybody_has_clients_have(permissions: Permissions, kept: None) -> None:
    permissions.given(ANYBODYS, DIGEST)
    assert permissions.widest(ALICES, DIGEST) == ANYBODYS


def test_but_not_what_anybody_has_elsewhere(permissions: Permissions, kept: None) -> None:
    """S11: the digest is no secret, the repository may be."""
    for repository in (OTHER, ELSEWHERE):
        permissions.given(View(repository), DIGEST)
    assert permissions.widest(ALICES, DIGEST) == ALICES


def test_nor_what_anybody_could_have_and_is_not_here(store: Store, permissions: Permissions, kept: None) -> None:
    """Through their own view they may get it, and are asked for by themselves."""
    permissions.given(ANYBODYS, DIGEST)
    store.drop(Entry(DIGEST))
    assert permissions.widest(ALICES, DIGEST) == ALICES


@pytest.mark.parametrize("view", [ANYBODYS, PROXYS])
def test_the_proxys_own_view_stays_as_it_is(permissions: Permissions, view: View, kept: None) -> None:
    """Its content is in a pool of its own, and its permissions are checked there."""
    permissions.given(ANYBODYS, DIGEST)
    assert permissions.widest(view, DIGEST) == view


def test_the_credential_is_the_one_that_counts_now(permissions: Permissions, rules: HandRules) -> None:
    assert permissions.view(REPOSITORY) == ANYBODYS
    rules.credentials[REPOSITORY.registry] = "account"
    assert permissions.view(REPOSITORY) == PROXYS
    assert permissions.view(REPOSITORY, "Bearer of alice") == ALICES
