"""What monitoring sees of the real daemon: on the admin socket, and on a port of its own that has nothing else."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.parts.admin_socket import tell
from tests.parts.answers import Filler, Gate, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import Address, Reply, ask, exchange, hash_rest
from tests.parts.shapes import content, error, ranged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

LAYER = b"0123456789"
MONITORED = '[metrics]\nlisten = "tcp:0:interface=127.0.0.1"\n'


def monitoring(daemon: Daemon) -> Address:
    return ("127.0.0.1", int(daemon.wait_for_log(r"monitoring may ask at http://127\.0\.0\.1:(\d+)/metrics")[1]))


def value(text: str, name: str, **labels: str) -> float:
    """The sum of what a series with these labels has."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def is_hit(reply: Reply) -> bool:
    return "; hit" in (reply.headers["Cache-Status"] or "")


def test_what_clients_and_upstreams_do_is_counted(tmp_path: Path, fake: FakeUpstream) -> None:
    place, gone = blob(LAYER), blob(b"gone")
    fake.script(place.path, content(LAYER))
    fake.script(gone.path, error(404, "BLOB_UNKNOWN"))
    config = configuration({REGISTRY: Upstream(fake.url)}) + MONITORED
    with Daemon(tmp_path, config) as daemon:
        # Until the first is in its place, the next ones join its transfer.
        while not is_hit(ask(daemon.address, "GET", place.through)):
            pass
        assert ask(daemon.address, "GET", place.through).body == LAYER
        assert ask(daemon.address, "GET", gone.through).status == 404
        assert ask(daemon.address, "GET", gone.through.replace(REGISTRY, "no.invalid")).status >= 400
        text = ask(monitoring(daemon), "GET", "/metrics").body.decode()
        admin = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
        for seen in (text, admin):
            assert value(seen, "crproxy_requests_total", registry=REGISTRY, cache="hit", status="200") == 2
            assert value(seen, "crproxy_requests_total", registry=REGISTRY, status="404") == 1
            assert value(seen, "crproxy_requests_total", registry="other") == 1
            assert value(seen, "crproxy_sent_bytes_total", cache="hit") == 2 * len(LAYER)
            assert value(seen, "crproxy_upstream_received_bytes_total") >= len(LAYER)
            assert value(seen, "crproxy_upstream_response_seconds_count", registry=REGISTRY) == 2
            assert value(seen, "crproxy_upstream_errors_total", registry="other") >= 1
            assert value(seen, "crproxy_upstream_up", registry=REGISTRY) == 1
            assert value(seen, "crproxy_fills_begun_total") == value(seen, "crproxy_fills_finished_total") + value(
                seen, "crproxy_fills_failed_total"
            )
            assert value(seen, "crproxy_cache_contents") == 1
            # A file takes its bytes, and a block at the most beyond them.
            block = os.statvfs(daemon.data_dir).f_frsize
            assert value(seen, "crproxy_cache_size_bytes") == len(LAYER) + block
            assert value(seen, "process_resident_memory_bytes") > 0
            assert "no.invalid" not in seen


def test_its_port_has_nothing_of_the_operators(tmp_path: Path) -> None:
    with Daemon(tmp_path, MONITORED) as daemon:
        address = monitoring(daemon)
        for path in ("/", "/aliases", "/cache", "/version", "/certificates", "/warm", "/v2/"):
            assert ask(address, "GET", path).status == 404
        assert ask(address, "POST", "/metrics").status == 405
        assert ask(daemon.address, "GET", "/metrics").body.find(b"crproxy_requests_total") == -1
        for ready in (ask(address, "GET", "/readyz"), tell(daemon.data_dir / "admin.sock", "GET", "/readyz")):
            assert ready.status == 200
            assert {line.partition(": ")[2] for line in ready.body.decode().splitlines()} == {"ok"}


def test_while_it_stops_it_lives_and_is_not_ready(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    large = Filler(1 << 20, seed=1)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=1 << 19)))
    with Daemon(tmp_path, configuration({REGISTRY: Upstream(fake.url)}) + MONITORED) as daemon:
        address = monitoring(daemon)
        with exchange(daemon.address, "GET", place.through) as response:
            begun = response.read(1)
            daemon.signal(signal.SIGTERM)
            daemon.wait_for_log("stopping: ")
            assert ask(address, "GET", "/healthz").status == 200
            stopping = ask(address, "GET", "/readyz")
            assert stopping.status == 503
            assert b"it is stopping" in stopping.body
            gate.open()
            assert hash_rest(response, begun) == (len(large), large.digest)
        daemon.wait(20)
