"""A Dockerfile whose stages begin with images of two registries is built as it stands, with crproxy as HTTP proxy."""

from __future__ import annotations

import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.images import sha256
from tests.parts.proxied_builders import BUILDERS
from tests.parts.proxied_clients import Starting
from tests.parts.station import Station

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers"), pytest.mark.timeout(600)]

RECIPE = "FROM {} AS first\nFROM {}\nCOPY --from=first /data /first\n"


@pytest.fixture(scope="module")
def station(workers: int) -> Iterator[Station]:
    with tempfile.TemporaryDirectory(prefix="stb-") as directory, Station(Path(directory)) as running:
        yield running


@pytest.fixture
def starting(station: Station) -> Iterator[Starting]:
    with tempfile.TemporaryDirectory(prefix="bu-") as directory, ExitStack() as running:
        yield Starting(station, Path(directory), running)


def files(tar: Path) -> dict[str, str]:
    """The digests of all files with something in them, by name."""
    with tarfile.open(tar) as opened:
        found = ((member.name.removeprefix("./"), opened.extractfile(member)) for member in opened if member.size)
        return {name: sha256(content.read()) for name, content in found if content is not None}


def layer_of(image: Image) -> dict[str, str]:
    (layer,) = image.layers
    return files(layer.path)


@pytest.mark.parametrize("make", BUILDERS, ids=lambda make: make.__name__)
def test_it_is_built_as_it_stands(
    station: Station, layout: Layout, starting: Starting, make: Callable[[Starting], Callable[[Path, Path], None]]
) -> None:
    images = {"docker.io": layout.image(), "ghcr.io": layout.image()}
    names = [station.push(layout, image, registry, make.__name__) for registry, image in images.items()]
    context = starting.fresh()
    (context / "Dockerfile").write_text(RECIPE.format(*names))
    tar = starting.directory / "built.tar"
    make(starting)(context, tar)
    first, second = map(layer_of, images.values())
    copied = {name.replace("data/", "first/"): digest for name, digest in first.items()}
    assert files(tar) == copied | second
    for registry, image in images.items():
        station.assert_fetched_once(registry, image)
