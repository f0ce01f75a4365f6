from __future__ import annotations

from dataclasses import replace

import pytest

from crproxy import __version__
from crproxy.admin.doctor.findings import Area
from crproxy.admin.doctor.loaded_check import compare
from crproxy.admin.loaded import Loaded

FILE = "/etc/crproxy/crproxy.toml"
SAME = Loaded(FILE, 784111777.0)


def test_a_file_that_counts_is_well() -> None:
    (found,) = compare(__version__, SAME, FILE)
    assert (found.area, found.subject, found.outcome.value) == (Area.CONFIGURATION, FILE, "ok")
    assert "read on 1994-11-06 at 08:49:37 UTC" in found.text


@pytest.mark.parametrize(
    ("loaded", "outcome", "said", "advised"),
    [
        (replace(SAME, changed=("[limits]: total 1 -> 2",)), "warning", "[limits]: total 1 -> 2", "Reload crproxy"),
        (replace(SAME, late=("cache", "listen")), "warning", "cache, listen (by a restart alone)", "Restart crproxy"),
        (
            replace(SAME, changed=("[page]: state True -> False",), late=("cache",)),
            "warning",
            "does not count yet: [page]: state True -> False; cache (by a restart alone)",
            "Restart crproxy",
        ),
        (replace(SAME, trouble="line 3: no"), "failed", "could not read it as it is now: line 3: no", "Correct it"),
    ],
)
def test_a_file_that_does_not_count_yet_is_noticed(loaded: Loaded, outcome: str, said: str, advised: str) -> None:
    (found,) = compare(__version__, loaded, FILE)
    assert found.outcome.value == outcome
    assert said in found.text
    assert advised in found.advice


@pytest.mark.parametrize(("theirs", "said"), [("/opt/other.toml", "that is /opt/other.toml"), (None, "without a file")])
def test_another_file_than_the_daemons_is_noticed(theirs: str | None, said: str) -> None:
    _, found = compare(__version__, replace(SAME, file=theirs), FILE)
    assert (found.subject, found.outcome.value) == (FILE, "warning")
    assert said in found.text


def test_a_daemon_of_another_version_is_noticed() -> None:
    _, found = compare("0.0.1", SAME, FILE)
    assert (found.area, found.outcome.value) == (Area.DAEMON, "warning")
    assert "it is crproxy 0.0.1" in found.text


def test_a_file_that_the_daemon_may_not_read_is_not_told_twice() -> None:
    loaded = replace(SAME, trouble="line 3: clients.htpasswd: /etc/htpasswd cannot be read: Permission denied")
    (found,) = compare(__version__, loaded, FILE, ["/etc/htpasswd"])
    assert (found.outcome.value, found.text) == ("skipped", "the daemon cannot read it again: see /etc/htpasswd")
    (found,) = compare(__version__, loaded, FILE, ["/etc/other"])
    assert found.outcome.value == "failed"


def test_where_neither_has_a_file_all_is_well() -> None:
    (found,) = compare(__version__, replace(SAME, file=None), None)
    assert found.outcome.value == "ok"


@pytest.mark.parametrize(
    ("theirs", "ours", "said", "advised"),
    [
        (
            ("--domain=cr.test", "--https="),
            (),
            "crproxy was started with --domain=cr.test --https=, and the doctor without options: what follows is of "
            "another configuration",
            "crproxy doctor --domain=cr.test --https=; or write what they say into the configuration's file",
        ),
        ((), ("--domain=cr.test",), "crproxy was started without options, and the doctor with", "crproxy doctor"),
        (("--alias=a b=c",), (), "started with '--alias=a b=c'", "crproxy doctor '--alias=a b=c'"),
    ],
)
def test_a_daemon_with_other_options_is_noticed(
    theirs: tuple[str, ...], ours: tuple[str, ...], said: str, advised: str
) -> None:
    _, found = compare(__version__, replace(SAME, options=theirs), FILE, (), ours)
    assert (found.area, found.subject, found.outcome.value) == (Area.CONFIGURATION, "options", "failed")
    assert said in found.text
    assert found.advice.startswith(advised)


def test_other_options_are_not_told_where_another_file_is() -> None:
    found = compare(__version__, replace(SAME, file="/opt/other.toml"), FILE, (), ("--a=b",))
    assert "options" not in [one.subject for one in found]
