"""The daemon's log: what a client is told is found in it by the id of the request, and each line can be read."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts.admin_socket import tell
from tests.parts.answers import Cut
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import OCI_MANIFEST
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.process import Process, clean_environment
from tests.parts.program import Failed
from tests.parts.raw_http import ask, asking
from tests.parts.request_ids import ID
from tests.parts.shapes import content, error, manifest
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.podman import Podman
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

TAG = manifest_place("v1")
BAD = manifest_place("bad")
MANIFEST = b'{"schemaVersion": 2}'
# Enough that each of two workers has some.
EACH = 12


def config_of(fake: FakeUpstream, *lines: str) -> str:
    return "\n".join([configuration({REGISTRY: Upstream(fake.url, retries=0)}), *lines, ""])


def log_of(level: str, style: str = "text") -> str:
    return f'[log]\nlevel = "{level}"\nformat = "{style}"'


def documents(log: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON: each is an object."""
    found = [json.loads(line) for line in log.splitlines()]
    assert found
    return found


def told(daemon: Daemon, target: str, status: int, *fields: tuple[str, str]) -> str:
    """The id that a client was told, which is that of the header and that of the words (Reply.message)."""
    reply = ask(daemon.address, "GET", target, *fields)
    assert (reply.status, bool(reply.message)) == (status, True)
    return str(reply.headers["X-Request-Id"])


def test_the_error_of_an_upstream_is_found_by_the_id_that_its_client_was_told(
    tmp_path: Path, fake: FakeUpstream
) -> None:
    fake.script(BAD.path, error(502, "UNKNOWN", "broken"))
    with Daemon(tmp_path, config_of(fake)) as daemon:
        ids = [told(daemon, BAD.through, 503) for _ in range(EACH)]
        assert len({*ids}) == EACH
        for each in ids:
            daemon.wait_for_log(rf"\[crproxy\.web#warning\] {BAD.through}: 503 .*answered 502.* \(request {each}\)\n")
            daemon.wait_for_log(rf'\[crproxy\.audit#info\] .*"GET {BAD.through} HTTP/1.1" 503 .* request={each}\n')


@pytest.mark.parametrize(
    ("sent", "line", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "400 Bad Request", "it is no proper HTTP request"),
        (
            b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
            "413 Content Too Large",
            "its body is larger than 64.0 KiB",
        ),
    ],
)
def test_what_never_became_a_request_is_found_by_an_id_as_well(
    tmp_path: Path, fake: FakeUpstream, sent: bytes, line: str, why: str
) -> None:
    with Daemon(tmp_path, config_of(fake)) as daemon:
        with socket.create_connection(daemon.address) as connection:
            connection.sendall(sent)
            answer = connection.makefile("rb").read().decode()
        (request_id,) = re.findall(r"\r\nX-Request-Id: (\w+)\r\n", answer)
        assert answer.startswith(f"HTTP/1.1 {line} (request {request_id})\r\n")
        daemon.wait_for_log(rf"is answered {line}: {why} \(request {request_id}\)\n")


def test_what_the_command_fails_with_is_found_by_the_id_that_the_operator_is_told(
    tmp_path: Path, fake: FakeUpstream
) -> None:
    fake.script(BAD.path, error(502, "UNKNOWN", "broken"))
    with Daemon(tmp_path, config_of(fake)) as daemon:
        operator = Operator.of(daemon, tmp_path)
        image = f"{REGISTRY}/team/app:bad"
        warmed = operator.runs("warm", image)
        assert warmed.status == 1
        (request_id,) = re.findall(rf"{image}: failed: .*answered 502.* \(request ({ID.pattern})\)\n", warmed.out)
        daemon.wait_for_log(rf"#warning\] {image} could not be pulled: .*answered 502.* \(request {request_id}\)\n")
        removed = operator.runs("cache", "remove", image)
        assert removed.status == 1
        (request_id,) = re.findall(rf"is not in the cache.* \(request ({ID.pattern})\)\n", removed.err)
        daemon.wait_for_log(rf"the operator is told: {image} is not in .* \(request {request_id}\)\n")


def test_every_line_of_a_run_is_json(tmp_path: Path, fake: FakeUpstream) -> None:
    fake.script(TAG.path, manifest(MANIFEST, OCI_MANIFEST))
    fake.script(BAD.path, error(502, "UNKNOWN", "broken"))
    layer, cut = blob(b"0123456789"), blob(b"abcdefghij")
    fake.script(layer.path, content(b"0123456789"))
    fake.script(cut.path, content(b"abcdefghij", fault=Cut(3)))
    with Daemon(tmp_path, config_of(fake, log_of("debug", "json"))) as daemon:
        for _ in range(EACH):
            assert ask(daemon.address, "GET", TAG.through).status == 200
            assert ask(daemon.address, "GET", layer.through).status == 200
        bad = told(daemon, BAD.through, 503)
        page = ask(daemon.address, "GET", "/nowhere\x7f?token=hunter2")
        assert page.status == 404
        with asking(daemon.address, "GET", cut.through) as connection:
            connection.recv(1)
        assert tell(daemon.data_dir / "admin.sock", "GET", "/version")
        daemon.reload("domian = 1")
        daemon.wait_for_log("was not read again")
        daemon.stop()
    found = documents(daemon.log)
    assert "hunter2" not in daemon.log
    assert all({"time", "level", "logger", "message"} <= each.keys() for each in found)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in found)
    assert {each["level"] for each in found} <= {"debug", "info", "warning", "error"}
    (failed,) = (each for each in found if each.get("request") == bad and each["logger"] == "crproxy.web")
    assert (failed["level"], failed["path"]) == ("warning", BAD.through)
    (line,) = (each for each in found if each.get("audit", {}).get("request") == bad)
    assert (line["request"], line["audit"]["status"], line["audit"]["path"]) == (bad, 503, BAD.through)
    assert any(each.get("audit", {}).get("request") == page.headers["X-Request-Id"] for each in found)


def test_a_reload_changes_the_level_in_every_worker(tmp_path: Path, fake: FakeUpstream) -> None:
    fake.script(BAD.path, error(502, "UNKNOWN", "broken"))
    with Daemon(tmp_path, config_of(fake, log_of("info"))) as daemon:

        def logged() -> tuple[int, int]:
            """How many of so many mistakes of clients are in the log, and of so many faults."""
            mistakes = [told(daemon, "/v2/UPPER/manifests/v1", 400) for _ in range(EACH)]
            faults = [told(daemon, BAD.through, 503) for _ in range(EACH)]
            for each in faults if "warning" in daemon.file.read_text() else ():
                daemon.wait_for_log(rf"\(request {each}\)")
            log = daemon.log
            return sum(each in log for each in mistakes), sum(each in log for each in faults)

        assert logged() == (EACH, EACH)
        daemon.reload(config_of(fake, log_of("warning")))
        until(lambda: logged() == (0, EACH))
        daemon.reload(config_of(fake, log_of("error")))
        until(lambda: logged() == (0, 0))
        daemon.reload(config_of(fake, log_of("debug")))
        daemon.wait_for_log(r"read again: \[log\]: level error -> debug")
        until(lambda: logged() == (EACH, EACH))


def test_an_option_wins_over_the_file(tmp_path: Path, fake: FakeUpstream) -> None:
    listen = ["--http", "tcp:0:interface=127.0.0.1", "--https", "", "--log-format", "json", "--log-level", "info"]
    with Daemon(tmp_path, config_of(fake, log_of("error")), listen=listen) as daemon:
        assert ask(daemon.address, "GET", "/nowhere").status == 404
        daemon.wait_for_log('"status": 404')
        daemon.stop()
    assert documents(daemon.log)


def test_only_a_trusted_proxy_says_which_id_a_request_has(tmp_path: Path, fake: FakeUpstream) -> None:
    mine = ("X-Request-Id", "0b5c1f5e-6f6f-4f0e-9d0a-3f1f6a1b2c3d")
    trusted = '[listen]\ntrusted_proxies = ["127.0.0.1"]'
    fake.script(TAG.path, manifest(MANIFEST, OCI_MANIFEST))
    (tmp_path / "nobody").mkdir()
    (tmp_path / "trusted").mkdir()
    with Daemon(tmp_path / "nobody", config_of(fake)) as daemon:
        for _ in range(EACH):
            assert ID.fullmatch(told(daemon, "/v2/UPPER/manifests/v1", 400, mine))
        assert mine[1] not in daemon.log
    with Daemon(tmp_path / "trusted", config_of(fake, trusted)) as daemon:
        reply = ask(daemon.address, "GET", "/v2/UPPER/manifests/v1", mine)
        assert reply.headers["X-Request-Id"] == mine[1]
        assert f"(request {mine[1]})" in reply.body.decode()
        daemon.wait_for_log(rf"UPPER.* \(request {mine[1]}\)")
        for number in range(EACH):
            # Also where all is well, and the answer might have been made before.
            assert ask(daemon.address, "GET", TAG.through, ("X-Request-Id", f"fine-{number}")).status == 200
            daemon.wait_for_log(rf'"GET {TAG.through} HTTP/1.1" 200 .* request=fine-{number}\n')
        forged = ask(daemon.address, "GET", "/v2/UPPER/manifests/v1", ("X-Request-Id", 'x" forged'))
        assert ID.fullmatch(forged.headers["X-Request-Id"])


def test_real_clients_show_the_id(
    tmp_path: Path, fake: FakeUpstream, docker: DockerEngine, skopeo: Skopeo, podman: Podman
) -> None:
    fake.script(BAD.path, error(403, "DENIED", "not for you"))
    clients: tuple[Callable[[str], object], ...] = (docker.pull, skopeo.pull, podman.pull)
    with Daemon(tmp_path, config_of(fake)) as daemon:
        for pull in clients:
            with pytest.raises(Failed) as raised:
                pull(f"{daemon.url.removeprefix('http://')}/{REGISTRY}/team/app:bad")
            shown = re.search(rf"not for you.*\(request ({ID.pattern})\)", str(raised.value))
            assert shown is not None, raised.value
            daemon.wait_for_log(rf"403 DENIED: .*not for you.*\(request {shown[1]}\)")


def test_who_shows_no_more_than_the_status_shows_the_id(
    tmp_path: Path, fake: FakeUpstream, docker: DockerEngine, containerd: Containerd
) -> None:
    fake.script(BAD.path, error(502, "UNKNOWN", "broken"))
    clients: tuple[Callable[[str], object], ...] = (docker.pull, containerd.pull)
    with Daemon(tmp_path, config_of(fake)) as daemon:
        for pull in clients:
            with pytest.raises(Failed) as raised:
                pull(f"{daemon.url.removeprefix('http://')}/{REGISTRY}/team/app:bad")
            shown = re.search(rf"503 Service Unavailable \(request ({ID.pattern})\)", str(raised.value))
            assert shown is not None, raised.value
            daemon.wait_for_log(rf"503 UNAVAILABLE: .*answered 502.*\(request {shown[1]}\)")


@pytest.mark.parametrize("where", ["stdout", "file"])
def test_a_tac_has_the_same_log(tmp_path: Path, where: str) -> None:
    text = (Path(__file__).parent.parent.parent / "crproxy.tac").read_text()
    options = '["--http", "tcp:0:interface=127.0.0.1", "--log-format", "json"]'
    tac, file = tmp_path / "crproxy.tac", tmp_path / "twistd.log"
    tac.write_text(text.replace("parseOptions([])", f"parseOptions({options})"))
    command = [str(Path(sys.executable).with_name("twistd")), "--pidfile=", "-ny", str(tac)]
    command += ["--logfile", str(file)] if where == "file" else []
    environment = clean_environment(tmp_path, STATE_DIRECTORY=str(tmp_path / "data"))
    with Process(command, tmp_path, environment=environment) as process:

        def log() -> str:
            if where == "stdout":
                return process.log
            return file.read_text() if file.exists() else ""

        until(lambda: "listens on admin" in log())
        assert process.stop() in (0, -signal.SIGTERM)
    assert any("listens on http" in each["message"] for each in documents(log()))
    assert where == "stdout" or process.log == ""
