"""A configuration that a command needs and that is wrong: one line, with the file's name, and exit status 2."""

from __future__ import annotations

import click

from ..config import ConfigError, OptionError
from .configuration_file import SYSTEM_CONFIG, config_file

__all__ = ["ConfigurationFault", "fault_in", "file_named"]


class ConfigurationFault(click.ClickException):
    """What is wrong, where, and what to do. The command exits with 2, as the daemon does."""

    exit_code = 2


def file_named(config: str | None) -> str:
    """Return the file that a command reads: the one of its option, of the environment, or the system's."""
    try:
        return config_file(config) or str(SYSTEM_CONFIG)
    except ConfigError:
        return str(SYSTEM_CONFIG)


def fault_in(config: str | None, error: ConfigError, advice: str) -> ConfigurationFault:
    """Return what is told of ``error``.

    Arguments:
        config: the file, as the command's option has it.
        advice: what else may be done.
    """
    where = "" if isinstance(error, OptionError) else f"{file_named(config)}: "
    return ConfigurationFault(f"{where}{error}. Correct it, or {advice}")
