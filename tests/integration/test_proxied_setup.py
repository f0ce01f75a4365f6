"""What `crproxy setup CLIENT --proxy` prints, done and undone on a machine, and read by systemd."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.program import Failed
from tests.parts.registry import PASSWORD, USERNAME
from tests.parts.requirements import need
from tests.parts.skopeo import Skopeo
from tests.parts.station import Station

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

# Every file with its content, of what a set-up may change. What update-ca-certificates makes for Java is not its own.
LISTING = (
    "find /etc /usr/local/share/ca-certificates "
    "! -name systemctl.log ! -path '*/java/*' -type f -exec sha256sum {} + && "
    "find /etc -type l -printf '%p %l\\n'"
)
LOGIN = ("--login", USERNAME, "--password-stdin")
SERVICES = {"docker": "docker", "containerd": "containerd", "kubernetes": "containerd"}


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    with tempfile.TemporaryDirectory(prefix="sts-") as directory, Station(Path(directory)) as running:
        # Once, so that what it finds for itself is there before.
        shell(running, "update-ca-certificates")
        yield running


def shell(station: Station, line: str) -> str:
    done = subprocess.run(
        station.place().command(["sh", "-ec", line]),
        env=station.machine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def listing(station: Station) -> set[str]:
    return set(shell(station, LISTING).splitlines())


@pytest.mark.parametrize("client", ["docker", "containerd", "podman", "helm"])
def test_the_way_back_leaves_the_machine_as_it_was(
    station: Station, layout: Layout, tmp_path: Path, client: str
) -> None:
    name = station.push(layout, layout.image(), "ghcr.io", f"back-{client}")
    skopeo = Skopeo(tmp_path, station.place(HTTPS_PROXY=station.url))
    before = listing(station)
    installed = station.install(client, *LOGIN, stdin=PASSWORD)
    assert listing(station) != before
    skopeo.pull(name)
    shell(station, f"cd /etc; {installed.back}")
    assert listing(station) == before
    with pytest.raises(Failed, match="certificate signed by unknown authority"):
        skopeo.pull(name)


@pytest.mark.parametrize("client", SERVICES)
def test_systemd_takes_the_file(station: Station, tmp_path: Path, client: str) -> None:
    """Without a word; it would complain of a specifier that it does not know."""
    (drop_in, *_) = station.printed(client, *LOGIN, stdin="%n %q é\"'\\")["files"]
    unit = tmp_path / f"{SERVICES[client]}.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    below = tmp_path / f"{unit.name}.d"
    below.mkdir()
    (below / "crproxy.conf").write_text(drop_in["text"])
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (below / "crproxy.conf").write_text(drop_in["text"].replace("%%", "%"))
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "crproxy.conf" in done.stderr, "it looks at it"


def test_a_file_with_a_password_is_roots_alone(station: Station) -> None:
    installed = station.install("docker", *LOGIN, stdin=PASSWORD)
    path = installed.printed["files"][0]["path"]
    assert shell(station, f"stat -c %a {path}") == "600\n"
    assert "daemon-reload\nrestart docker\n" in shell(station, "cat /etc/systemctl.log")
    shell(station, installed.back)


def test_openssl_finds_each_of_two(station: Station) -> None:
    """While clients change over from one CA to the next there are two."""
    assert station.operator.runs("ca", "renew").status == 0
    installed = station.install("docker")
    files = [file["path"] for file in installed.printed["files"] if file["path"].endswith(".crt")]
    assert len(files) == 2
    for path in files:
        found = shell(station, f"openssl verify -CApath /etc/ssl/certs {path}")
        assert found == f"{path}: OK\n"
    shell(station, installed.back)
    for file in installed.printed["files"]:
        assert shell(station, f"ls {file['path']} 2>/dev/null || echo gone") == "gone\n"
