from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.login.passwords import Passwords
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.authorizations import Credentials
from tests.memory import ended, failure_of, not_yet


class Pool:
    """Threads whose work is done when the test says so; remembers all that was handed in."""

    def __init__(self) -> None:
        self.handed_in: list[tuple[Any, ...]] = []
        self._waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def __call__(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self.handed_in.append(args)
        done: Deferred[Any] = Deferred()
        self._waiting.append((done, lambda: work(*args)))
        return done

    def work(self) -> None:
        """Do all that waits."""
        while self._waiting:
            self.work_once()

    def work_once(self) -> None:
        """Do what was handed in first."""
        done, work = self._waiting.pop(0)
        done.callback(work())

    @property
    def costs(self) -> list[bytes]:
        """Of the hashes that passwords were checked against: version and cost."""
        return [hashed[:7] for _, hashed in self.handed_in]


def hashed(password: str, cost: int = 4) -> bytes:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost))


USERS = {"alice": hashed("right: horse@stable"), "bob": hashed("of bob")}
ALICE = Credentials("alice", "right: horse@stable")
WRONG = Credentials("alice", "wrong horse")
NOBODY = Credentials("mallory", "right: horse@stable")


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(pool: Pool, clock: Clock) -> Passwords:
    return Passwords(pool, clock)


Ask = Callable[..., Deferred[bool]]


@pytest.fixture
def ask(passwords: Passwords) -> Ask:
    """Asks, and lets the check wait."""

    def asks(credentials: Credentials, users: dict[str, bytes] = USERS, client: str | None = None) -> Deferred[bool]:
        return Deferred.fromCoroutine(passwords.are_right(users, credentials, client))

    return asks


@pytest.fixture
def check(ask: Ask, pool: Pool) -> Callable[..., bool]:
    """Asks, and does the check where there is one."""

    def checks(credentials: Credentials, users: dict[str, bytes] = USERS) -> bool:
        asking = ask(credentials, users)
        pool.work()
        return ended(asking)

    return checks


Check = Callable[..., bool]


def test_a_right_password_is_right_and_a_wrong_one_is_not(check: Check) -> None:
    assert check(ALICE)
    assert not check(WRONG)
    assert not check(Credentials("alice", ""))
    assert not check(Credentials("alice", "of bob"))


def test_nobodys_password_is_never_right(check: Check) -> None:
    for password in ("", "of bob", ALICE.password):
        assert not check(Credentials("mallory", password))
        assert not check(Credentials("", password))


def test_who_is_a_user_cannot_be_told_by_the_time_it_takes(check: Check, pool: Pool) -> None:
    check(WRONG)
    check(NOBODY)
    wrong, nobody = pool.costs
    assert wrong == nobody == b"$2b$04$"


@pytest.mark.parametrize("cost", [4, 5])
def test_a_check_for_nobody_is_as_dear_as_the_others(check: Check, pool: Pool, cost: int) -> None:
    check(NOBODY, {"alice": hashed("x", cost)})
    assert pool.costs == [b"$2b$%02d$" % cost]


def test_a_right_password_is_not_checked_again_for_five_minutes(check: Check, pool: Pool, clock: Clock) -> None:
    assert check(ALICE)
    clock.advance(299)
    assert check(ALICE)
    assert len(pool.handed_in) == 1
    clock.advance(1)
    assert check(ALICE)
    assert len(pool.handed_in) == 2


def test_using_it_does_not_make_it_last_longer(check: Check, pool: Pool, clock: Clock) -> None:
    for _ in range(4):
        check(ALICE)
        clock.advance(100)
    assert len(pool.handed_in) == 2


def test_a_wrong_password_is_checked_each_time(check: Check, pool: Pool) -> None:
    for _ in range(3):
        assert not check(WRONG)
        assert not check(NOBODY)
    assert len(pool.handed_in) == 6


def test_a_password_that_was_right_says_nothing_of_another(check: Check, pool: Pool) -> None:
    assert check(ALICE)
    assert not check(WRONG)
    assert not check(Credentials("bob", ALICE.password))
    assert len(pool.handed_in) == 3


def test_a_password_that_was_changed_is_not_remembered(check: Check) -> None:
    assert check(ALICE)
    assert not check(ALICE, USERS | {"alice": hashed("another")})
    assert check(Credentials("alice", "another"), USERS | {"alice": hashed("another")})


def test_nor_is_that_of_a_user_who_is_gone(check: Check) -> None:
    assert check(ALICE)
    assert not check(ALICE, {"bob": USERS["bob"]})
    assert not check(ALICE, {"bob": USERS["alice"]})


def test_a_name_that_holds_what_parts_them_is_not_another_user(check: Check) -> None:
    """A form may hold any character."""
    users = {"alice": hashed("b\0c")}
    assert check(Credentials("alice", "b\0c"), users)
    assert not check(Credentials("alice\0b", "c"), users)


@pytest.mark.parametrize("length", [71, 72, 73, 500])
def test_a_long_password_counts_as_far_as_bcrypt_reads(check: Check, length: int) -> None:
    password = "ü" * (length // 2) + "x" * (length % 2)
    users = {"alice": hashed(password)}
    assert check(Credentials("alice", password), users)
    assert not check(Credentials("alice", "x" + password), users)


def test_many_who_ask_the_same_share_one_check(ask: Ask, pool: Pool) -> None:
    asking = [ask(ALICE) for _ in range(100)]
    wrong = [ask(WRONG) for _ in range(100)]
    assert len(pool.handed_in) == 2
    assert all(map(not_yet, asking + wrong))
    pool.work()
    assert {ended(asked) for asked in asking} == {True}
    assert {ended(asked) for asked in wrong} == {False}


def test_one_that_leaves_takes_nobodys_answer(ask: Ask, pool: Pool) -> None:
    first, second = ask(ALICE), ask(ALICE)
    first.addErrback(lambda _: None)
    first.cancel()
    pool.work()
    assert ended(second)


@pytest.mark.parametrize("client", [None, "192.0.2.1"])
def test_too_many_of_a_client_at_once_are_told_to_come_again(ask: Ask, pool: Pool, client: str | None) -> None:
    asking = [ask(Credentials("alice", str(number)), client=client) for number in range(40)]
    for refused in asking[32:]:
        error = failure_of(refused, RegistryError)
        assert isinstance(error, RegistryError)
        assert (error.code, error.status, error.retry_after) == (ErrorCode.TOOMANYREQUESTS, 429, 5)
    pool.work()
    assert [ended(asked) for asked in asking[:32]] == [False] * 32
    later = ask(ALICE, client=client)
    pool.work()
    assert ended(later)


def test_s23_nobody_waits_behind_another_clients_wrong_passwords(ask: Ask, pool: Pool) -> None:
    for number in range(64):
        ask(Credentials("alice", str(number)), client="2001:db8::1").addErrback(lambda _: None)
        ask(Credentials("bob", str(number)), client="2001:db8::2").addErrback(lambda _: None)
    asking = ask(ALICE, client="192.0.2.1")
    for _ in range(5):
        if asking.called:
            break
        pool.work_once()
    assert ended(asking)


def test_addresses_of_one_64_are_one_client(ask: Ask, pool: Pool) -> None:
    for number in range(64):
        refused = ask(Credentials("alice", str(number)), client=f"2001:db8::{number + 1:x}")
        assert number < 32 or failure_of(refused, RegistryError)


def test_who_is_remembered_gets_in_nevertheless(check: Check, ask: Ask) -> None:
    assert check(ALICE)
    for number in range(40):
        ask(Credentials("alice", str(number))).addErrback(lambda _: None)
    assert ended(ask(ALICE))


def test_a_check_that_fails_takes_no_place_for_ever(ask: Ask, pool: Pool) -> None:
    for _ in range(40):
        asking = ask(ALICE)
        done, _ = pool._waiting.pop()
        done.errback(OSError("no thread"))
        failure_of(asking, OSError)
    later = ask(ALICE)
    pool.work()
    assert ended(later)


def test_passwords_are_not_kept_in_memory(check: Check, passwords: Passwords) -> None:
    """S26."""
    assert check(ALICE)
    assert ALICE.password.encode() not in b"".join(passwords._right.all())
