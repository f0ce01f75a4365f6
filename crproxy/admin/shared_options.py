"""Options that several commands have, and types of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..policy.units import parse_size
from .client import AdminClient
from .paths import SOCKET_VARIABLE, find_socket

__all__ = ["Size", "json_option", "socket_option"]

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
    """Give ``command`` the option --socket, and the daemon's client as its argument ``client``."""
    option = click.option(
        "--socket",
        "client",
        metavar="PATH",
        type=click.Path(path_type=Path),
        callback=lambda ctx, param, value: AdminClient(find_socket(value)),
        help=f"The daemon's admin socket.  [default: ${SOCKET_VARIABLE}, else /run/crproxy/admin.sock, else "
        "admin.sock in the daemon's data directory]",
    )
    return option(command)


def json_option(command: Command) -> Command:
    """Give ``command`` the option --json, as its argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)
