"""Several workers: that they are one proxy, and what happens when one of the processes dies or hangs."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.parts.admin_socket import tell
from tests.parts.answers import Filler, Stall
from tests.parts.caller import Caller
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import OCI_MANIFEST
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.process import Process, clean_environment
from tests.parts.raw_http import ask, exchange, fetch, hash_rest
from tests.parts.shapes import content, manifest, ranged
from tests.parts.waiting import until
from tests.stress.worker_crashes import WorkerCrashes

if TYPE_CHECKING:
    from tests.parts.answers import Gate
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
WORKERS = 3
LEDGER = re.compile(r"^.* (/\S+/crproxy-ledger-[^/]+)/data\.mdb$", re.MULTILINE)


def config_of(fake: FakeUpstream, more: str = "") -> str:
    return configuration({REGISTRY: Upstream(fake.url)}) + more


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    return sum(str(each.readlink()).startswith("socket:") for each in Path(f"/proc/{pid}/fd").iterdir())


def ledger_of(pid: int) -> Path:
    """Where a worker has what it shares with the others."""
    found = LEDGER.search(Path(f"/proc/{pid}/maps").read_text())
    assert found is not None
    return Path(found[1])


def value(text: str, name: str) -> float:
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def metrics(daemon: Daemon) -> str:
    return tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()


# One proxy


def test_connections_spread_over_the_workers(tmp_path: Path) -> None:
    with Daemon(tmp_path, "", workers=WORKERS) as daemon, ExitStack() as calling:
        pids = daemon.worker_pids()
        assert len(pids) == WORKERS
        before = {pid: sockets(pid) for pid in pids}
        for _ in range(20 * WORKERS):
            assert calling.enter_context(Caller(daemon.port)).get("/v2/").status == 200
        shares = [sockets(pid) - before[pid] for pid in pids]
        assert sum(shares) == 20 * WORKERS
        assert min(shares) > 0


def test_auto_is_a_worker_for_each_core(tmp_path: Path) -> None:
    with Daemon(tmp_path, 'workers = "auto"') as daemon:
        if len(os.sched_getaffinity(0)) > 1:
            assert len(daemon.worker_pids()) == len(os.sched_getaffinity(0))
        assert ask(daemon.address, "GET", "/v2/").status == 200


def test_what_one_has_answered_every_other_knows(tmp_path: Path, fake: FakeUpstream) -> None:
    """Upstream is asked once for each, whichever worker is asked next."""
    body, document = Filler(MEBIBYTE), b'{"schemaVersion": 2, "config": {}, "layers": []}'
    place, tag = blob(body), manifest_place("v1")
    fake.script(place.path, ranged(body))
    fake.script(tag.path, manifest(document, OCI_MANIFEST))
    with Daemon(tmp_path, config_of(fake), workers=WORKERS) as daemon:
        for _ in range(4 * WORKERS):
            assert ask(daemon.address, "GET", tag.through).body == document
            assert fetch(daemon.address, place.through).digest == body.digest
        assert [len(fake.seen.requests(each.path)) for each in (tag, place)] == [1, 1]


def test_an_alias_counts_for_all_as_soon_as_it_is_told(tmp_path: Path) -> None:
    listen = ["--http", "tcp:0:interface=127.0.0.1", "--https", ""]
    with Daemon(tmp_path, 'domain = "cr.test"\n', listen=listen, workers=WORKERS) as daemon:
        socket = daemon.data_dir / "admin.sock"
        for method, status in (("PUT", 200), ("DELETE", 421)):
            assert tell(socket, method, "/aliases/corp", "quay.io").status == 200
            for _ in range(4 * WORKERS):
                with Caller(daemon.port, name="corp.cr.test") as caller:
                    assert caller.get("/v2/").status == status
        assert tell(socket, "PUT", "/aliases/a%20b", "quay.io").status == 400


def test_the_sums_of_a_worker_that_is_killed_do_not_go_back(tmp_path: Path) -> None:
    with Daemon(tmp_path, "", workers=2) as daemon:
        for _ in range(20):
            assert ask(daemon.address, "GET", "/v2/").status == 200
        # What was counted in the last second may be lost.
        time.sleep(1.5)
        for pid in daemon.worker_pids():
            daemon.kill_worker(pid)
            assert value(metrics(daemon), "crproxy_requests_total") == 20
        assert ask(daemon.address, "GET", "/v2/").status == 200
        assert value(metrics(daemon), "crproxy_requests_total") == 21


def test_their_log_is_in_the_file_that_twistd_writes(tmp_path: Path) -> None:
    file, pid_file = tmp_path / "twistd.log", tmp_path / "twistd.pid"
    twistd = Path(sys.executable).parent / "twistd"
    command = [str(twistd), "-n", f"--logfile={file}", f"--pidfile={pid_file}", "crproxy", "--workers", "2"]
    command += ["--http", f"unix:{tmp_path}/socket", "--data-dir", str(tmp_path / "data")]
    with Process(command, tmp_path, environment=clean_environment(tmp_path)) as process:
        until(lambda: file.exists() and "workers serve clients" in file.read_text(), found=lambda: process.log)
        assert ask(tmp_path / "socket", "GET", "/v2/").status == 200
        until(lambda: '"GET /v2/ HTTP/1.1" 200' in file.read_text(), found=file.read_text)


# Those that die, and those that hang


def test_one_that_dies_loses_its_own_connections_alone(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    bodies = [Filler(MEBIBYTE, seed=seed) for seed in range(8)]
    for body in bodies:
        fake.script(blob(body).path, ranged(body, Stall(gate, at=MEBIBYTE // 2)))
    with Daemon(tmp_path, config_of(fake), workers=2) as daemon, ExitStack() as asking:
        pids = daemon.worker_pids()
        before = {pid: sockets(pid) for pid in pids}
        responses = [asking.enter_context(exchange(daemon.address, "GET", blob(body).through)) for body in bodies]
        begun = [response.read(1) for response in responses]
        # Each has two, to its client and to upstream.
        lost = (sockets(pids[0]) - before[pids[0]]) // 2
        daemon.kill_worker(pids[0])
        gate.open()
        whole = 0
        for body, response, first in zip(bodies, responses, begun, strict=True):
            try:
                assert hash_rest(response, first) == (body.size, body.digest)
                whole += 1
            except (OSError, HTTPException):
                # Cut off, as its worker was killed: what was begun is resumed.
                assert fetch(daemon.address, blob(body).through).digest == body.digest
        assert whole == len(bodies) - lost
        assert not daemon.cache.damaged()
        assert not daemon.cache.partial()


@pytest.mark.parametrize("killed", [0, 1])
def test_what_no_disk_takes_goes_on_where_the_one_dies_that_has_it(
    tmp_path: Path, fake: FakeUpstream, gate: Gate, killed: int
) -> None:
    """One worker has it sent, for both; when it dies, the other goes on from the byte reached."""
    large = Filler(8 * MEBIBYTE)
    place = blob(large)
    fake.script(place.path, ranged(large, Stall(gate, at=MEBIBYTE)))
    with (
        Daemon(tmp_path, config_of(fake, '[cache]\nsize = "6M"\n'), workers=2) as daemon,
        ExitStack() as asking,
    ):
        pids = daemon.worker_pids()
        before = {pid: sockets(pid) for pid in pids}
        responses: list[HTTPResponse] = []
        while any(sockets(pid) == before[pid] for pid in pids):
            assert len(responses) < 200, "one worker has all of them"
            responses.append(asking.enter_context(exchange(daemon.address, "GET", place.through)))
        # All that upstream has sent so far.
        begun = [response.read(MEBIBYTE) for response in responses]
        assert len(fake.seen.requests(place.path, "GET")) == 1
        daemon.kill_worker(pids[killed])
        gate.open()
        whole = 0
        for response, first in zip(responses, begun, strict=True):
            try:
                assert hash_rest(response, first) == (large.size, large.digest)
                whole += 1
            except (OSError, HTTPException):
                pass  # its worker was killed
        assert 0 < whole < len(responses)
        asked = [request.values("Range") for request in fake.seen.requests(place.path, "GET")]
        assert asked[1:] in ([], [[f"bytes={MEBIBYTE}-"]])


def test_one_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    with Daemon(tmp_path, "", workers=2) as daemon:
        hung = daemon.worker_pids()[0]
        os.kill(hung, signal.SIGSTOP)
        assert daemon.wait_for_log(r"\(process (\d+)\) has not answered for 10 s: it is killed", 30)[1] == str(hung)
        daemon.wait_for_log("serves clients again")
        for _ in range(8):
            assert ask(daemon.address, "GET", "/v2/").status == 200


def test_without_the_first_all_end_and_another_takes_up_where_they_were(
    tmp_path: Path, fake: FakeUpstream, gate: Gate
) -> None:
    """At once, whatever is under way: its successor needs the ports."""
    body, large = Filler(MEBIBYTE), Filler(MEBIBYTE, seed=1)
    fake.script(blob(body).path, content(body))
    fake.script(blob(large).path, ranged(large, Stall(gate, at=MEBIBYTE // 2)))
    with (
        Daemon(tmp_path, config_of(fake), workers=2) as first,
        exchange(first.address, "GET", blob(large).through) as under_way,
    ):
        assert under_way.read(1)
        assert fetch(first.address, blob(body).through).digest == body.digest
        pids, port = first.worker_pids(), f"tcp:{first.port}:interface=127.0.0.1"
        left = ledger_of(pids[0])
        first.kill(first_alone=True)
        until(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in pids))
    listen = ["--http", port, "--https", ""]
    with Daemon(tmp_path, config_of(fake), listen=listen, workers=2) as second:
        assert fetch(second.address, blob(body).through).digest == body.digest
        ledger = ledger_of(second.worker_pids()[0])
        assert (left.exists(), ledger.exists()) == (False, True)
    assert not ledger.exists()


def test_real_clients_pull_while_workers_are_killed() -> None:
    """``make stress-workers`` does it for longer."""
    # The paths of docker's sockets are long, and may not be.
    with tempfile.TemporaryDirectory(prefix="crashes-") as directory:
        crashes = WorkerCrashes(Path(directory), seed=8)
        crashes.run(kills=8, seconds=240)
    figures = crashes.figures
    # How long it took is for that to tell: here, everything else runs beside it.
    assert (figures.kills, figures.pulls > 0, figures.warm > 0) == (8, True, True), figures
