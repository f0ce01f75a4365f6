"""The benchmarks run: each measures what it says it does. How fast anything is, no test decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.requirements import need, need_root, need_tracing

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
ROWS = (
    "cold blob, CPU s/GiB",
    "cold blob, one client, s",
    "warm blob, CPU s/GiB",
    "the same, HTTP/1.1 for all",
    "warm blob, one client, s",
    "peak RSS after these, MiB",
    "cold blob beside a reader at 1 MiB/s, times as long",
    "8 clients, one cold blob, upstream bytes / blob",
    "8 clients, one cold blob, last one done, s",
    "manifests by digest, 1/s",
    "manifests by tag, 1/s",
    "full handshakes / CPU s",
    "resumed handshakes / CPU s",
    "passed through, TLS on both sides, CPU s/GiB",
    "passed through, in the clear, CPU s/GiB",
    "cold blob, first byte after a fast upstream's, ms",
    "cold blob, first byte after a slow upstream's, ms",
    "10 slow readers of a filling blob, RSS MiB",
    "20 idle connections, RSS MiB",
    "start to first answer, s",
)
# Of each number of names.
TLS_ROWS = (
    "start to first answer, s",
    "peak RSS after the first answer, MiB",
    "the first handshake of each, CPU ms",
    "peak RSS after these, MiB",
    "full handshakes / CPU s",
    "resumed handshakes / CPU s",
)

LIMITS_ROWS = (
    "per_transfer, stored",
    "per_transfer, passing",
    "per_client, stored",
    "per_client, passing",
    "total, stored",
    "total, passing",
    "upstream, filling",
    "upstream, passing",
)

FLEET_ROWS = (
    "cold, the two nodes together, and the upload",
    "on disk",
    "in the second tier, on a new node's way to its disk",
    "with another node that fills it at 64 MiB/s",
    "with another node that fills it at 16 MiB/s",
    "nothing, for a second, of two nodes",
    "a tag, first of all",
    "a tag, at another node",
    "a tag, again there",
    "a blob, first of all",
    "a blob, at another node",
    "a blob, again there",
)

RULES_ROWS = (
    "manifests by tag, 1/s",
    "manifests by tag, not prepared, 1/s",
    "manifests by digest, 1/s",
    "manifests by digest, not prepared, 1/s",
)

PROXY_ROWS = ("warm blob, CPU s/GiB", "warm blob, one client, s", "a new connection and a manifest, CPU ms")

WORKERS_ROWS = (
    "an idle worker, PSS MiB",
    "manifests by digest, 1/s",
    "full handshakes, 1/s",
    "warm blob, 2 clients, MiB/s",
    "the same, CPU us each",
    "the same, CPU s/GiB",
    "cold blobs, one client, CPU s/GiB",
)
# Where control groups can be made.
HELD_ROWS = ("held: manifests by digest, 1/s", "held: full handshakes, 1/s", "held: warm blob, 2 clients, MiB/s")


# docker-registry once more, in the clear and by its environment.
OTHER = (
    "other=env REGISTRY_PROXY_REMOTEURL=http://{{upstream}} REGISTRY_HTTP_ADDR=127.0.0.1:{{port}} "
    "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={{directory}}/data docker-registry serve {file}"
)


def rows(benchmark: str, *options: str) -> list[str]:
    """The lines of the table that a quick run of it prints."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--quick", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("| ")]


def test_the_cache_is_measured() -> None:
    for tool in ("nginx", "docker-registry", "curl", "wrk"):
        need(tool)
    table = rows("cache")
    assert [row for row in ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_another_is_measured_beside_them_and_where_the_time_goes_is_drawn(tmp_path: Path) -> None:
    need("docker-registry")
    need_tracing("py-spy")
    file, flames = tmp_path / "registry.yml", tmp_path / "flames"
    file.write_text("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /nowhere}}\n")
    options = ["--peer", OTHER.format(file=file), "--profile", str(flames), "--directory", str(tmp_path)]
    head, _, *lines = rows("cache", *options)
    column = [name.strip() for name in head.split("|")].index("other")
    (warm, *_) = (line for line in lines if line.startswith("| manifests by digest"))
    assert float(warm.split("|")[column].replace(",", "")) > 0
    drawn = {path.stem: path.read_text() for path in flames.iterdir()}
    assert {"cold-blob", "warm-blob", "handshakes-full", "passed-through-https"} <= set(drawn)
    assert all(text.rstrip().endswith("</svg>") and "doRead" in text for text in drawn.values())


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        ("other", "write NAME=COMMAND or NAME=URL"),
        ("other=serve {nothing}", "'nothing' in 'serve {nothing}'; there are port, upstream"),
        ("other=https://127.0.0.1:1", "the authority of its certificate behind a #"),
        ("other=http://127.0.0.1:1", "nobody listens on port 1 "),
    ],
)
def test_what_names_no_peer_is_told(peer: str, why: str) -> None:
    command = [sys.executable, "-m", "benchmarks.cache", "--quick", "--peer", peer]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert why in done.stderr


def test_handshakes_are_measured() -> None:
    need("nginx")
    table = rows("tls")
    wanted = [f"{names} names: {row}" for names in (3, 50) for row in TLS_ROWS]
    assert [row for row in wanted if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_limits_are_measured() -> None:
    for tool in ("nginx", "curl"):
        need(tool)
    table = rows("limits")
    assert [row for row in LIMITS_ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_a_fleet_is_measured() -> None:
    for tool in ("nginx", "curl", "versitygw"):
        need(tool)
    table = rows("fleet")
    assert [line.split("|")[1].strip() for line in table if line[2].isdigit()] == ["1", "2"]
    assert [row for row in FLEET_ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_several_connections_are_measured() -> None:
    need("curl")
    table = rows("parallel")
    assert [line.split("|")[1].strip() for line in table if line[2].isdigit()] == ["1", "2", "4", "8", "4"]


def test_the_http_proxy_is_measured() -> None:
    for tool in ("nginx", "curl"):
        need(tool)
    table = rows("proxy")
    assert [row for row in PROXY_ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_what_rules_cost_is_measured() -> None:
    for tool in ("nginx", "wrk"):
        need(tool)
    table = rows("rules")
    assert [row for row in RULES_ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_what_workers_give_is_measured() -> None:
    for tool in ("nginx", "wrk", "curl", "openssl"):
        need(tool)
    table = rows("workers")
    assert [row for row in WORKERS_ROWS if not any(line.startswith(f"| {row} ") for line in table)] == []
    held = [row for row in HELD_ROWS if any(line.startswith(f"| {row} ") for line in table)]
    assert held in ([], list(HELD_ROWS))


def test_memory_at_full_load_is_measured() -> None:
    for tool in ("nginx", "curl"):
        need(tool)
    table = rows("soak")
    assert [line.split("|")[1].strip() for line in table if line[2].isspace() or line[2].isdigit()] == ["1", "2"]


def test_an_upstream_that_is_silent_is_measured() -> None:
    need("nginx")
    table = rows("silence")
    wanted = ["a tag that is kept, GET", "the same, HEAD", "a manifest that is not kept", "a blob that is not kept"]
    assert [row for row in wanted if not any(line.startswith(f"| {row} ") for line in table)] == []


def test_a_pull_beside_attackers_is_measured() -> None:
    need("dockerd")
    need_root("dockerd")
    table = rows("hostile")
    wanted = ["warm pull alone, s", "warm pull beside 50 slow and 50 idle ones, s", "RSS beside them, MiB"]
    assert [row for row in wanted if not any(line.startswith(f"| {row} ") for line in table)] == []


@pytest.mark.parametrize(
    "name", ["cache", "fleet", "hostile", "limits", "parallel", "proxy", "rules", "silence", "soak", "tls", "workers"]
)
def test_there_is_a_section_for_the_result(name: str) -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert f"<!-- {name} -->" in page
    assert f"<!-- end of {name} -->" in page
