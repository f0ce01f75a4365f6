"""The configuration as the daemon reads it: which file, which files it names, and where its data lies.

Knows files and the environment; what they say is read by the config layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..config import Config, ConfigError, Options, load
from .paths import usual_data_dir

__all__ = ["SYSTEM_CONFIG", "config_file", "parse_config", "read_config", "read_text"]

SYSTEM_CONFIG = Path("/etc/crproxy/crproxy.toml")


def read_text(path: str) -> str:
    """Return the text of a file. Raises OSError and UnicodeDecodeError."""
    return Path(path).read_text(encoding="utf-8")


def config_file(path: str | None, system: Path = SYSTEM_CONFIG) -> str | None:
    """Return the file that is read: ``path``, else the system's if it is there, else none."""
    if path is not None:
        return path
    return str(system) if system.exists() else None


def read_config(
    path: str | None, options: Options, *, system: Path = SYSTEM_CONFIG, read_file: Callable[[str], str] = read_text
) -> Config:
    """Return what the file ``path`` and ``options`` say together, as they are now.

    Arguments:
        path: None is the system's, if it is there.
        read_file: returns the text of a file that is named.

    Raises:
        ConfigError: with a text for the operator.
    """
    try:
        file = config_file(path, system)
        text = "" if file is None else read_file(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}") from error
    return parse_config(text, options, read_file)


def parse_config(text: str, options: Options, read_file: Callable[[str], str] = read_text) -> Config:
    """Return what ``text``, in place of a file's, and ``options`` say together.

    Arguments:
        read_file: returns the text of a file that is named.

    Raises:
        ConfigError: with a text for the operator.
    """
    usual = usual_data_dir(os.environ)
    return load(text, options, usual_data_dir=usual, read_file=read_file, environment=os.environ)
