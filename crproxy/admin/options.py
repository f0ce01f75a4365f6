"""Options of ``twistd crproxy`` that a command takes as well, to read the configuration as the daemon does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from ..config import Options
from ..config.options import OPTIONS
from ..config.variables import CONFIG_VARIABLE, variable_of
from .paths import SYSTEM_CONFIG

__all__ = ["config_option", "daemon_options", "options_of"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = tuple(option for option in OPTIONS if option.key)


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


def daemon_options(command: Command, *, taken: Collection[str] = ()) -> Command:
    """Add what else the daemon may have been started with.

    Arguments:
        taken: the names of those that mean something else of this command; file and variable say these.
    """
    for option in reversed(_OPTIONS):
        said = f"As the daemon was started with.  [default: ${variable_of(option)}, else what the file says]"
        if option.name in taken:
            continue
        command = click.option(f"--{option.name}", metavar="TEXT", multiple=option.repeated, help=said)(command)
    return command


def options_of(values: dict[str, Any]) -> Options:
    """Return what these options say, taken out of a command's arguments."""
    said = {option.field: values.pop(option.name.replace("-", "_"), None) for option in _OPTIONS}
    return Options(**{field: value for field, value in said.items() if value is not None})
