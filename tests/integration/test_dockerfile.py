"""The Dockerfile, as BuildKit reads it: nothing in it is deprecated, or reads in two ways."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.buildkit import BuildKit
from tests.parts.node import HERE
from tests.parts.program import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def buildkit() -> Iterator[BuildKit]:
    with tempfile.TemporaryDirectory(prefix="bk") as name:
        directory = Path(name)
        (directory / "buildkitd.toml").touch()
        with BuildKit(directory, HERE, str(directory / "buildkitd.toml")) as running:
            yield running


def test_nothing_is_to_be_said_of_ours(buildkit: BuildKit) -> None:
    # There is nobody here to fetch the base from, and nothing of it matters to what is checked.
    assert "no warnings found" in buildkit.check(ROOT, BASE="scratch")


def test_of_another_something_is(buildkit: BuildKit, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nMAINTAINER nobody\n")
    with pytest.raises(Failed, match="MaintainerDeprecated"):
        buildkit.check(tmp_path)
