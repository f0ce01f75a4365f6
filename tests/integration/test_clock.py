"""The clock is set while the daemon runs: timers go on, and what has an age is as old as the date says."""

from __future__ import annotations

import json
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Gate, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.date import Date
from tests.parts.places import REGISTRY, manifest_place
from tests.parts.raw_http import ask, asking
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = b'{"schemaVersion": 2, "layers": []}'
TAG, SILENT = manifest_place("v1"), manifest_place("silent")
HOUR = 3600


def test_a_clock_that_is_set_stops_no_timer_and_counts_for_ages(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    fake.script(TAG.path, manifest(MANIFEST, MEDIA_TYPE))
    fake.script(SILENT.path, content(b"x", fault=Stall(gate)))
    date = Date(tmp_path)
    audit = tmp_path / "audit.log"
    config = configuration({REGISTRY: Upstream(fake.url, retries=0)}, timeouts={"headers": "1s"})
    config += f'[audit]\nfile = "{audit}"\n'

    def asked() -> int:
        return len(fake.seen.requests(TAG.path))

    with Daemon(tmp_path, config, environment=date.environment) as daemon:
        assert ask(daemon.address, "GET", TAG.through).body == MANIFEST
        with asking(daemon.address, "GET", SILENT.through) as connection, HTTPResponse(connection) as response:
            fake.seen.wait_for_request(SILENT.path)
            date.set(-HOUR)
            response.begin()
            assert (response.status, b"UNAVAILABLE" in response.read()) == (503, True)
        assert ask(daemon.address, "GET", TAG.through).body == MANIFEST
        before = asked()
        date.set(HOUR)
        stale = ask(daemon.address, "GET", TAG.through)
        assert (stale.body, stale.headers["Cache-Status"]) == (MANIFEST, "crproxy; hit; detail=revalidated")
        assert asked() == before + 1
        assert ask(daemon.address, "GET", TAG.through).headers["Cache-Status"] == "crproxy; hit"
    moments = [json.loads(line)["time"] for line in audit.read_text().splitlines()]
    year = time.gmtime().tm_year
    assert all(str(moment).startswith((str(year), str(year - 1), str(year + 1))) for moment in moments), moments
    assert len(moments) == 5
