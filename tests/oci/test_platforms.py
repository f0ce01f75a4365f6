from __future__ import annotations

from typing import Any

import pytest

from crproxy.oci.platforms import Platform


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("linux/amd64", ("linux", "amd64", "")),
        ("linux/arm/v7", ("linux", "arm", "v7")),
        (" Linux/AMD64 ", ("linux", "amd64", "")),
        ("arm64", ("linux", "arm64", "")),
        ("linux/x86_64", ("linux", "amd64", "")),
        ("aarch64", ("linux", "arm64", "")),
        ("windows/amd64", ("windows", "amd64", "")),
    ],
)
def test_a_platform_is_read_as_clients_write_it(text: str, parts: tuple[str, str, str]) -> None:
    assert Platform.parse(text) == Platform(*parts)


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux/arm/v7/x", "linux amd64", "linux/*"])
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no platform: write OS/ARCHITECTURE"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("wish", "there", "met"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/amd64/v3", "linux/amd64", False),
    ],
)
def test_a_wish_is_met(wish: str, there: str, met: bool) -> None:
    assert Platform.parse(wish).covers(Platform.parse(there)) is met


@pytest.mark.parametrize(
    ("item", "platform"),
    [
        ({"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}, Platform("linux", "arm", "v7")),
        ({"platform": {"os": "linux"}}, Platform("linux", "")),
        ({"platform": {"os": 3, "architecture": "arm"}}, None),
        ({"platform": "linux"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_what_an_index_says_is_taken_as_far_as_it_is_sound(item: Any, platform: Platform | None) -> None:
    assert Platform.of(item) == platform


def test_it_is_written_as_clients_write_it() -> None:
    assert [str(Platform("linux", "arm", "v7")), str(Platform("linux", "amd64"))] == ["linux/arm/v7", "linux/amd64"]
