"""Options that several commands have, and types of their values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..policy.units import parse_size
from .client import AdminClient
from .paths import SOCKET_VARIABLE, SYSTEM_CONFIG, find_socket

__all__ = ["Size", "json_option", "named_config", "socket_option"]

# Where a command keeps what --config said.
_CONFIG = "crproxy.config_file"

Command = TypeVar("Command", bound=Callable[..., Any])


class Size(click.ParamType[int]):
    """Bytes, written as people write them: 50M."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes that ``value`` stands for."""
        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def socket_option(command: Command) -> Command:
    """Give ``command`` the options --socket and --config, and the daemon's client as its argument ``client``."""
    socket = click.option(
        "--socket",
        "client",
        metavar="PATH",
        type=click.Path(path_type=Path),
        callback=lambda ctx, param, value: AdminClient(functools.partial(find_socket, value, ctx.meta.get(_CONFIG))),
        help=f"The daemon's admin socket.  [default: ${SOCKET_VARIABLE}, else as it is configured, else "
        "/run/crproxy/admin.sock, else admin.sock in the daemon's data directory]",
    )
    config = click.option(
        "--config",
        "-c",
        metavar="FILE",
        type=click.Path(path_type=Path),
        # It is looked at before --socket is.
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, param, value: ctx.meta.update({_CONFIG: value}),
        help=f"The configuration that says where that is.  [default: $CRPROXY_CONFIG, else {SYSTEM_CONFIG}]",
    )
    return socket(config(command))


def named_config() -> str | None:
    """Return the file that ``--config`` of the command that runs names, which `socket_option` has given it."""
    named: Path | None = click.get_current_context().meta.get(_CONFIG)
    return None if named is None else str(named)


def json_option(command: Command) -> Command:
    """Give ``command`` the option --json, as its argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)
