"""Options of ``twistd crproxy`` that a command takes as well, to read the configuration as the daemon does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Options
from ..config.options import OPTIONS
from ..config.variables import CONFIG_VARIABLE, variable_of
from .paths import SYSTEM_CONFIG

__all__ = ["config_option", "daemon_options", "options_of"]

Command = TypeVar("Command", bound=Callable[..., Any])

# --proxy is a flag of crproxy setup; where it listens is said by the file or the variable there.
_TAKEN = ("proxy",)
_OPTIONS = tuple(option for option in OPTIONS if option.key and option.name not in _TAKEN)


def config_option(command: Command) -> Command:
    """Add ``--config``."""
    option = click.option(
        "--config",
        "-c",
        "config_file",
        metavar="FILE",
        help=f"The configuration that the daemon reads.  [default: ${CONFIG_VARIABLE}, else {SYSTEM_CONFIG} if it is "
        "there]",
    )
    return option(command)


def daemon_options(command: Command) -> Command:
    """Add what else the daemon may have been started with."""
    for option in reversed(_OPTIONS):
        said = f"As the daemon was started with.  [default: ${variable_of(option)}, else what the file says]"
        command = click.option(f"--{option.name}", metavar="TEXT", multiple=option.repeated, help=said)(command)
    return command


def options_of(values: dict[str, Any]) -> Options:
    """Return what these options say, taken out of a command's arguments."""
    said = {option.field: values.pop(option.name.replace("-", "_"), None) for option in _OPTIONS}
    return Options(**{field: value for field, value in said.items() if value is not None})
