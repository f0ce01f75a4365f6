"""The configuration is read again under load: nobody who is pulling notices, whatever is in the file."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.places import REGISTRY, Place, blob
from tests.parts.raw_http import Address, ask, fetch
from tests.parts.shapes import ranged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

CLIENTS = 64
EACH = 6
SIZE = 128 * 1024
OTHERS = """
[aliases]
"corp.cr.test" = "corp.example"
[limits]
total = "2G/s"
[access]
deny = ["corp.example/secret"]
"""
BROKEN = "domian = 1"
LATER = re.compile(r"the configuration was (?:not )?read again.*")


def pulled(address: Address, places: list[tuple[Place, Filler]], stop: Event) -> list[int]:
    """Pull each, cold, and then again and again until it is enough; return the statuses of what was wrong."""
    wrong: list[int] = []
    for number in itertools.count():
        if number >= len(places) and stop.is_set():
            return wrong
        place, content = places[number % len(places)]
        got = fetch(address, place.through)
        if (got.status, got.digest) != (200, content.digest):
            wrong.append(got.status)
    raise AssertionError


def test_64_clients_pull_through_reloads_and_mistakes(tmp_path: Path, fake: FakeUpstream) -> None:
    contents = [Filler(SIZE, seed=number) for number in range(CLIENTS * EACH)]
    places = [(blob(content), content) for content in contents]
    for place, content in places:
        fake.script(place.path, ranged(content))
    text = configuration({REGISTRY: Upstream(fake.url)})
    stop = Event()
    with Daemon(tmp_path, text) as daemon, ThreadPoolExecutor(CLIENTS) as clients:
        assert ask(daemon.address, "GET", "/v2/").status == 200
        pulling = [
            clients.submit(pulled, daemon.address, places[number * EACH : (number + 1) * EACH], stop)
            for number in range(CLIENTS)
        ]
        try:
            for _ in range(6):
                for config, words in (
                    (text + OTHERS, "[aliases]: added corp.cr.test; [access]: deny 0 -> 1; [limits]: total none -> "),
                    (text + OTHERS + BROKEN, "there is no such key"),
                    (text + OTHERS, "nothing has changed"),
                    (
                        text,
                        "[aliases]: removed corp.cr.test; [access]: deny 1 -> 0; [limits]: total 2 GiB/s -> ",
                    ),
                ):
                    seen = len(daemon.log)
                    daemon.reload(config)
                    assert words in daemon.wait_for_log(LATER.pattern, after=seen)[0]
        finally:
            stop.set()
        assert [one.result() for one in pulling] == [[]] * CLIENTS
        assert daemon.log.count("was not read again, nothing has changed: ") == 6
    assert all(len(fake.seen.requests(place.path, "GET")) == 1 for place, _ in places)
