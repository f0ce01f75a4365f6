"""Configurations as tests write them: read, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from crproxy.config import Config, ConfigError, Options, load

__all__ = ["loaded", "mistake", "no_files"]


def no_files(path: str) -> str:
    """Fail: no file is named."""
    raise AssertionError(f"{path} was read")


def loaded(text: str = "", **options: Any) -> Config:
    """Return what ``text`` and these options say."""
    return load(text, Options(**options), read_file=no_files)


def mistake(text: str, **options: Any) -> str:
    """Return what is said of the mistake that is in there."""
    with pytest.raises(ConfigError) as raised:
        loaded(text, **options)
    return str(raised.value)
