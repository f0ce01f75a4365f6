"""Command lines of ``crproxy``, read as the command reads them, and not run.

They know which commands and options there are; not what a value means.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
from twisted.python.usage import Options as TwistedOptions

from crproxy.admin.command import main
from crproxy.tap import Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["all_commands", "examples_of", "help_of", "read"]

# Where one command of a line ends.
_ENDS = {"|", ">", ">>", "&&", "||", ";", "<"}


def all_commands(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that each command is called by: () is ``crproxy`` itself."""
    yield path
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from all_commands(each, (*path, name))


def help_of(path: Sequence[str]) -> str:
    """Return what --help prints of a command."""
    if tuple(path) == ("serve",):
        return str(Options())
    context = _context(main, "crproxy")
    for name in path:
        assert isinstance(context.command, click.Group)
        context = _context(context.command.commands[name], name, context)
    return context.get_help()


def examples_of(path: Sequence[str]) -> list[str]:
    """Return the lines under "Examples:" in a command's help."""
    lines = re.search(r"^ *Examples?:\n((?: +\S.*\n?)+)", help_of(path), re.MULTILINE)
    return [] if lines is None else [line.strip() for line in lines[1].splitlines()]


def read(line: str) -> tuple[str, ...]:
    """Return the words of the command that a line of a shell calls ``crproxy`` for.

    Raises:
        click.UsageError, twisted.python.usage.UsageError: there is no such command or option, or too much is said.
        ValueError: crproxy is not called.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|><&;")
    lexer.whitespace_split = True
    words = list(lexer)
    begin = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in ("crproxy", "twistd")), None)
    if begin is None:
        raise ValueError(f"crproxy is not called: {line}")
    end = next((at for at, word in enumerate(words) if at > begin and word in _ENDS), len(words))
    called = words[begin:end]
    if called[0].endswith("twistd"):
        at = called.index("crproxy")
        return _read_daemon(called[at + 1 :])
    return _read(main, called[1:], _context(main, "crproxy"))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    # With its settings: a command keeps the option --help that its first context has made.
    return click.Context(command, parent, info_name=name, **command.context_settings)


def _read(command: click.Command, words: list[str], context: click.Context) -> tuple[str, ...]:
    """Read the words behind a command's name."""
    if isinstance(command, click.Group):
        rest = _parse(command, words, context)
        if not rest:
            return ()
        name = rest[0]
        if name not in command.commands:
            raise click.UsageError(f"no such command: {name}")
        if name == "serve":
            return _read_daemon(rest[1:])
        within = _context(command.commands[name], name, context)
        return (name, *_read(within.command, rest[1:], within))
    rest = _parse(command, words, context)
    if rest:
        raise click.UsageError(f"too many words: {rest}")
    return ()


def _parse(command: click.Command, words: list[str], context: click.Context) -> list[str]:
    context.allow_interspersed_args = not isinstance(command, click.Group)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    return rest


def _read_daemon(words: list[str]) -> tuple[str, ...]:
    """Read options of the daemon, without the configuration that they are about."""
    daemon = Options()
    # What it does at the end is to read the configuration.
    daemon.postOptions = lambda: None  # type: ignore[method-assign]
    TwistedOptions.parseOptions(daemon, [word for word in words if word != "--help"])
    return ("serve",)
