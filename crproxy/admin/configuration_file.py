"""The configuration as the daemon reads it: which file, which files it names, and where its data lies.

Knows files and the environment; what they say is read by the config layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..config import Config, ConfigError, Options, load
from ..config.upstreams import unreadable
from ..config.variables import CONFIG_VARIABLE, with_variables
from .paths import SYSTEM_CONFIG, usual_data_dir

__all__ = ["SYSTEM_CONFIG", "config_file", "parse_config", "read_config", "read_config_text", "read_text"]


def read_text(path: str) -> str:
    """Return the text of a file. Raises OSError and UnicodeDecodeError."""
    return Path(path).read_text(encoding="utf-8")


def config_file(path: str | None, system: Path = SYSTEM_CONFIG) -> str | None:
    """Return the file that is read: ``path``, else that of the environment, else the system's if it is there.

    None is none. Raises ConfigError where nobody may know whether the system's is there.
    """
    named = path if path is not None else os.environ.get(CONFIG_VARIABLE) or None
    if named is not None:
        return named
    try:
        return str(system) if system.exists() else None
    except OSError as error:
        raise ConfigError(unreadable(str(system), error)) from error


def read_config(
    path: str | None, options: Options, *, system: Path = SYSTEM_CONFIG, read_file: Callable[[str], str] = read_text
) -> Config:
    """Return what the file ``path`` and ``options`` say together, as they are now.

    Arguments:
        path: None is the environment's, or the system's, if it is there.
        read_file: returns the text of a file that is named.

    Raises:
        ConfigError: with a text for the operator.
    """
    return parse_config(read_config_text(config_file(path, system), read_file), options, read_file)


def read_config_text(file: str | None, read_file: Callable[[str], str] = read_text) -> str:
    """Return the text of the configuration's file; none where there is none. Raises ConfigError."""
    try:
        return "" if file is None else read_file(file)
    except OSError as error:
        raise ConfigError(unreadable(str(file), error).removeprefix(f"{file} ")) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot be read: it is not UTF-8 text: {error.reason} at byte {error.start}") from error


def parse_config(text: str, options: Options, read_file: Callable[[str], str] = read_text) -> Config:
    """Return what ``text``, in place of a file's, ``options`` and the environment say together.

    Arguments:
        read_file: returns the text of a file that is named.

    Raises:
        ConfigError: with a text for the operator.
    """
    usual = usual_data_dir(os.environ)
    said = with_variables(options, os.environ)
    return load(text, said, usual_data_dir=usual, read_file=read_file, environment=os.environ)
