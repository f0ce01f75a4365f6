"""Real clients have crproxy as their HTTP proxy, and pull under the names that everybody knows, from three registries.

Each is set up by what `crproxy setup CLIENT --proxy` prints, its CA where the machine has all of them. What came is
what was pushed, and every blob was fetched once.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.podman import Podman
from tests.parts.program import Failed, Program
from tests.parts.proxied_clients import CLIENTS, Client, Starting
from tests.parts.requirements import need
from tests.parts.skopeo import Skopeo
from tests.parts.station import WORLD, Station

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def station(workers: int) -> Iterator[Station]:
    with tempfile.TemporaryDirectory(prefix="stn-") as directory, Station(Path(directory)) as running:
        yield running


@pytest.fixture
def starting(station: Station) -> Iterator[Starting]:
    with tempfile.TemporaryDirectory(prefix="cl-") as directory, ExitStack() as running:
        yield Starting(station, Path(directory), running)


def pulled_by_all_names(client: Client, images: dict[str, Image]) -> bool:
    return all(client.pull(name) == client.kept(image) for name, image in images.items())


def test_who_does_not_trust_its_ca_is_not_deceived(station: Station, layout: Layout, tmp_path: Path) -> None:
    """The first of all: nothing is installed yet."""
    name = station.push(layout, layout.image(), "ghcr.io", "untrusted")
    with pytest.raises(Failed, match="certificate signed by unknown authority"):
        Skopeo(tmp_path, station.place(HTTPS_PROXY=station.url)).pull(name)


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
def test_a_client_pulls_from_every_registry_cold_and_warm_and_without_them(
    station: Station, layout: Layout, starting: Starting, make: Callable[[Starting], Client]
) -> None:
    images = {registry: layout.image() for registry in WORLD}
    named = {station.push(layout, image, registry, make.__name__): image for registry, image in images.items()}
    client = make(starting)
    for _ in ("cold", "warm"):
        assert pulled_by_all_names(client, named)
        for registry, image in images.items():
            station.assert_fetched_once(registry, image)
    with station.upstream_off():
        assert pulled_by_all_names(client, named)


def test_containers_do_not_see_the_proxy(station: Station, layout: Layout, starting: Starting) -> None:
    name = station.push(layout, layout.image(), "ghcr.io", "environment")
    station.install("podman")
    podman = Podman(starting.fresh(), station.place())
    assert not [line for line in podman.variables_in(name) if "proxy" in line.lower()]


def test_helm_pulls_a_chart_by_its_own_name(station: Station, starting: Starting) -> None:
    directory = starting.fresh()
    (directory / "box").mkdir()
    (directory / "box" / "Chart.yaml").write_text("apiVersion: v2\nname: box\nversion: 1.2.3\n")
    helm = Program(station.place().command([need("helm")]), directory)
    helm.run("package", str(directory / "box"), "--destination", str(directory))
    registry = station.registries["ghcr.io"]
    chart = directory / "box-1.2.3.tgz"
    helm.run("push", str(chart), f"oci://{registry.authority}/charts", "--plain-http")
    pulling = Program(starting.shell().command([need("helm")]), directory)
    for number in (1, 2):
        there = directory / str(number)
        there.mkdir()
        pulling.run("pull", "oci://ghcr.io/charts/box", "--version=1.2.3", f"--destination={there}")
        assert (there / chart.name).read_bytes() == chart.read_bytes()
    pulling.run("show", "chart", "oci://ghcr.io/charts/box")


def test_what_it_does_not_answer_for_it_refuses_in_words(station: Station, starting: Starting) -> None:
    with pytest.raises(Failed, match=r"quay\.example\.org is refused: under \[proxy\], registries = \[\.\.\.\]"):
        Skopeo(starting.fresh(), starting.shell()).pull("quay.example.org/team/x:v1")
