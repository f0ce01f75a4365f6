"""Options of ``twistd crproxy`` that a command takes as well, to read the configuration as the daemon does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Options
from .configuration_file import SYSTEM_CONFIG

__all__ = ["config_option", "daemon_options", "options_of", "proxy_option"]

Command = TypeVar("Command", bound=Callable[..., Any])

_SINGLE = (
    "domain",
    "certs",
    "acme-directory",
    "acme-email",
    "data-dir",
    "cache-size",
    "workers",
    "fleet-advertise",
    "default-registry",
)
_REPEATED = ("http", "https", "alias")
_SAID = "As the daemon was started with."


def config_option(command: Command) -> Command:
    """Add ``--config``."""
    option = click.option(
        "--config",
        "-c",
        "config_file",
        metavar="FILE",
        help=f"The configuration that the daemon reads.  [default: {SYSTEM_CONFIG} if it is there]",
    )
    return option(command)


def daemon_options(command: Command) -> Command:
    """Add what else the daemon may have been started with."""
    for name in reversed(_SINGLE):
        command = click.option(f"--{name}", metavar="TEXT", help=_SAID)(command)
    for name in reversed(_REPEATED):
        command = click.option(f"--{name}", metavar="TEXT", multiple=True, help=_SAID)(command)
    return command


def proxy_option(command: Command) -> Command:
    """Add ``--proxy``, which is the daemon's as well, where it means nothing else."""
    return click.option("--proxy", metavar="TEXT", multiple=True, help=_SAID)(command)


def options_of(values: dict[str, Any]) -> Options:
    """Return what these options say, taken out of a command's arguments."""
    single = {name.replace("-", "_"): values.pop(name.replace("-", "_"), None) for name in _SINGLE}
    http, https, aliases = (tuple(values.pop(name, ())) for name in _REPEATED)
    proxy = tuple(values.pop("proxy", ()))
    return Options(http=http, https=https, aliases=aliases, proxy=proxy, **single)
