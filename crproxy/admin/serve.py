"""``crproxy serve``: the daemon, whose options are Twisted's to read, and known here to be completed by shells."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.shell_completion import CompletionItem
from twisted.scripts.twistd import run

from ..config.options import OPTIONS, Option

__all__ = ["serve"]


class _Words(click.ParamType[str]):
    """A value that is not looked at here, and for which some words are offered."""

    name = "value"

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin so (ParamType)."""
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


class _Serve(click.Command):
    """Hands on what it is given; to a shell that completes it, it has the daemon's options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return what it takes (Command)."""
        if not ctx.resilient_parsing:
            return super().get_params(ctx)
        return [*map(_completed, OPTIONS), click.Option(["--help"], is_flag=True, help="Display this help and exit.")]


def _completed(option: Option) -> click.Option:
    """Return an option of the daemon's as click completes it."""
    names = [f"--{option.name}", *([f"-{option.short}"] if option.short else ())]
    takes: click.ParamType[Any] = _Words(option.words)
    if option.is_file or option.is_directory:
        takes = click.Path(file_okay=option.is_file, dir_okay=option.is_directory)
    return click.Option(names, type=takes, multiple=option.repeated, help=option.meaning)


@click.command(
    cls=_Serve,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Run the proxy in the foreground.",
    options_metavar="",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> None:
    """Run the proxy in the foreground: the same as ``twistd -n crproxy``, whose options it takes (see serve --help).

    \b
    Examples:
      crproxy serve
      crproxy serve --domain cr.example.com --acme-email ops@example.com
    """
    words = ("--help" if option == "-h" else option for option in options)
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "crproxy", *words]
    run()
