from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from crproxy.admin.alias_file import Source
from crproxy.admin.loaded import Loaded
from crproxy.config import Clients, Config, ConfigError, Forward, Listen, Upstream
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.service.current_configuration import CurrentConfiguration
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet

QUAY, GHCR = Registry("quay.io"), Registry("ghcr.io")
BEFORE = Config(Names("cr.test", {"quay.cr.test": QUAY}))
AFTER = replace(BEFORE, names=Names("cr.test", {"quay.cr.test": QUAY, "new.cr.test": GHCR}))


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_what_is_read_again_counts_and_is_told(log: Log) -> None:
    current, told = CurrentConfiguration(BEFORE, lambda: AFTER), list[Config]()
    current.changed.append(told.append)
    assert current() is BEFORE
    assert ended(current.reload())
    assert current().names == AFTER.names
    assert told == [current()]
    assert log.lines == ["the configuration was read again: [aliases]: added new.cr.test"]


def test_where_nothing_is_different_that_is_told(log: Log) -> None:
    assert ended(CurrentConfiguration(BEFORE, lambda: replace(BEFORE)).reload())
    assert log.lines == ["the configuration was read again: nothing has changed"]


def test_a_mistake_changes_nothing_and_is_told(log: Log) -> None:
    def load() -> Config:
        raise ConfigError("line 3: domian: there is no such key")

    current = CurrentConfiguration(BEFORE, load)
    assert not ended(current.reload())
    assert current() is BEFORE
    assert log.lines == [
        "the configuration was not read again, nothing has changed: line 3: domian: there is no such key"
    ]


def test_what_only_a_restart_changes_stays_and_is_named(log: Log) -> None:
    current = CurrentConfiguration(BEFORE, lambda: replace(AFTER, listen=Listen(("tcp:1",)), data_dir="/elsewhere"))
    ended(current.reload())
    assert (current().listen, current().data_dir, current().names) == (BEFORE.listen, BEFORE.data_dir, AFTER.names)
    assert "changed, but only a restart changes these: listen, data_dir" in log.lines


def test_what_the_http_proxy_answers_counts_at_once_and_where_it_listens_with_a_restart(log: Log) -> None:
    before = replace(BEFORE, forward=Forward(("tcp:1",)))
    after = replace(BEFORE, forward=Forward(("tcp:2",), ("tcp:3",), registries=frozenset({QUAY}), idle=10))
    current = CurrentConfiguration(before, lambda: after)
    ended(current.reload())
    assert current().forward == Forward(("tcp:1",), registries=frozenset({QUAY}), idle=10)
    assert log.lines == [
        "changed, but only a restart changes these: proxy.listen",
        "the configuration was read again: [proxy]: registries added quay.io, tunnel_idle 5 min -> 10",
    ]


# Beside what the file says now

SAID = ("--domain=cr.test",)


def test_what_runs_is_told_beside_what_the_file_says_now(log: Log) -> None:
    files, times = [BEFORE], [100.0]
    source = Source(Path("/etc/crproxy.toml"), lambda _: BEFORE, SAID)
    current = CurrentConfiguration(BEFORE, lambda: files[-1], source, now=lambda: times[-1])
    times.append(200.0)
    assert ended(current.loaded()) == Loaded("/etc/crproxy.toml", 100.0, options=SAID)
    files.append(replace(AFTER, data_dir="/elsewhere"))
    told = ("[aliases]: added new.cr.test",)
    assert ended(current.loaded()) == Loaded("/etc/crproxy.toml", 100.0, told, ("data_dir",), options=SAID)
    assert current() is BEFORE
    assert log.lines == []
    ended(current.reload())
    assert ended(current.loaded()) == Loaded("/etc/crproxy.toml", 200.0, (), ("data_dir",), options=SAID)


def test_a_file_that_cannot_be_read_again_is_told() -> None:
    def load() -> Config:
        raise ConfigError("line 3: domian: there is no such key")

    current = CurrentConfiguration(BEFORE, load)
    assert ended(current.loaded()) == Loaded(None, 0.0, trouble="line 3: domian: there is no such key", options=())


@pytest.mark.security("S26")
def test_no_secret_is_told() -> None:
    def with_password(password: str) -> Config:
        return replace(BEFORE, upstreams={QUAY: Upstream(QUAY, "https://quay.io", username="me", password=password)})

    current = CurrentConfiguration(with_password("before"), lambda: with_password("after"))
    loaded = ended(current.loaded())
    assert loaded.changed == ("[upstreams]: quay.io changed (password)",)
    assert "before" not in str(loaded)
    assert "after" not in str(loaded)


def test_an_alias_is_added_and_taken_away_while_running() -> None:
    current, told = CurrentConfiguration(BEFORE, lambda: BEFORE), list[Config]()
    current.changed.append(told.append)
    ended(current.set_alias("ghcr", "ghcr.io"))
    assert current().names.aliases == {"quay.cr.test": QUAY, "ghcr.cr.test": GHCR}
    ended(current.set_alias("quay", ""))
    assert current().names.aliases == {"ghcr.cr.test": GHCR}
    assert len(told) == 2


@pytest.mark.parametrize(
    ("label", "registry", "what"),
    [
        ("a b", "quay.io", "alias a b: this is not a name"),
        ("x", "a b", "alias x: 'a b' is not a registry's name"),
        ("nope", "", "alias nope: there is no such alias to remove"),
        ("cr.test", "quay.io", "alias cr.test: this is the domain itself"),
    ],
)
def test_an_alias_that_is_none_changes_nothing(label: str, registry: str, what: str) -> None:
    current = CurrentConfiguration(BEFORE, lambda: BEFORE)
    assert str(failure_of(current.set_alias(label, registry), ConfigError)).startswith(what)
    assert current() is BEFORE


# Where others have to take it, too


def test_it_is_done_when_all_have_taken_it(log: Log) -> None:
    current, takes = CurrentConfiguration(BEFORE, lambda: AFTER), [Deferred[None](), Deferred[None]()]
    current.changed += [lambda _: takes[0], lambda _: takes[1]]
    for change in (current.reload, lambda: current.set_alias("ghcr", "ghcr.io")):
        takes[:] = [Deferred(), Deferred()]
        done: Deferred[Any] = change()
        takes[1].callback(None)
        assert not_yet(done)
        takes[0].callback(None)
        ended(done)
    assert set(current().names.aliases) == {"quay.cr.test", "new.cr.test", "ghcr.cr.test"}
    assert log.complaints == []


def test_it_counts_here_before_the_others_have_taken_it() -> None:
    current = CurrentConfiguration(BEFORE, lambda: AFTER)
    current.changed.append(lambda _: Deferred())
    current.reload()
    assert current().names == AFTER.names


@pytest.mark.parametrize("mistaken", [False, True])
def test_whoever_reads_something_else_again_does_whatever_comes_of_it(mistaken: bool) -> None:
    def load() -> Config:
        if mistaken:
            raise ConfigError("no")
        return AFTER

    current, told, reopened = CurrentConfiguration(BEFORE, load), list[str](), Deferred[None]()

    def reopen(_: None) -> Deferred[None]:
        told.append("reread")
        return reopened

    current.changed.append(lambda _: told.append("changed"))
    current.reread.append(reopen)
    done = current.reload()
    assert told == ["changed", "reread"][mistaken:]
    assert not_yet(done)
    reopened.callback(None)
    assert ended(done) is not mistaken


HASH = f"$2y$10${'e' * 53}"


def with_login(read_file: Any) -> CurrentConfiguration:
    clients = Clients({"alice": HASH.encode()}, htpasswd="/htpasswd")
    return CurrentConfiguration(replace(BEFORE, clients=clients), lambda: pytest.fail("not asked"), None, read_file)


def test_users_are_read_again_by_themselves(log: Log) -> None:
    current, told = with_login({"/htpasswd": f"alice:{HASH}\nbob:{HASH}\n"}.__getitem__), list[Config]()
    current.changed.append(told.append)
    assert ended(current.reload_users()) == ("alice", "bob")
    assert current().clients.users == {"alice": HASH.encode(), "bob": HASH.encode()}
    assert current().names is BEFORE.names
    assert told == [current()]
    assert log.lines == ["the users were read again: [clients]: users added bob"]


def test_users_that_cannot_be_read_are_those_of_before() -> None:
    def missing(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    for read_file, why in (
        (missing, "No such file"),
        (lambda _: "", "no user in it"),
        (lambda _: "alice:x", "line 1 is no user"),
        (lambda _: "alice:$2y$15$" + "e" * 53, "too long to check"),
    ):
        current = with_login(read_file)
        assert why in str(failure_of(current.reload_users(), ConfigError))
        assert current().clients.users == {"alice": HASH.encode()}


def test_where_nobody_logs_in_there_are_no_users() -> None:
    current = CurrentConfiguration(BEFORE, lambda: BEFORE)
    assert "nobody logs in here" in str(failure_of(current.reload_users(), ConfigError))
