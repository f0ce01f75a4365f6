"""The manual pages, made of commands, options and keys: ``python -m tests.manual --write`` writes them anew."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from crproxy import __version__
from crproxy.admin.command import main as command
from crproxy.tap import Options
from tests import configuration_manual, roff

__all__ = ["MANUAL", "PAGES", "manual"]

ROOT = Path(__file__).parent.parent
MANUAL = ROOT / "share" / "man" / "man1" / "crproxy.1"

_OPERATIONS = ROOT / "docs" / "operations.md"
_CHANGELOG = ROOT / "CHANGELOG.md"
_STATUSES = re.compile(r"^\| ([123]) \| (.+) \| (.+) \|$", re.MULTILINE)
_RELEASED = re.compile(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)

_ENVIRONMENT = {
    "CRPROXY_ADMIN": "The admin socket of the daemon, where --socket does not name it.",
    "STATE_DIRECTORY": "The data directory, where --data-dir and the configuration name none; set by systemd.",
    "https_proxy, no_proxy": "How registries are reached, where the configuration says nothing else.",
}
_FILES = {
    "/etc/crproxy/crproxy.toml": "The configuration: see crproxy.toml(5).",
    "/run/crproxy/admin.sock": "Where the daemon is asked, and admin.sock in its data directory.",
}


def manual() -> str:
    """Return the manual page, in roff with the macros of man(7)."""
    return "".join(f"{line}\n" for line in _lines())


def configuration() -> str:
    """Return the manual page of the configuration's file."""
    return "".join(f"{line}\n" for line in configuration_manual.lines(_released()))


PAGES: Mapping[Path, Callable[[], str]] = {MANUAL: manual, configuration_manual.PAGE: configuration}


def _lines() -> Iterator[str]:
    yield '.\\" Made from the commands and their options: make man'
    yield f'.TH CRPROXY 1 "{_released()}" "crproxy {__version__}" "User Commands"'
    yield from (".SH NAME", r"crproxy \- a private mirror proxy for every container registry")
    yield from (".SH SYNOPSIS", ".B crproxy", ".I COMMAND", ".RI [ OPTION ]...", ".br", ".B twistd \\-n crproxy")
    yield ".RI [ OPTION ]..."
    context = click.Context(command, info_name="crproxy", **command.context_settings)
    yield ".SH DESCRIPTION"
    yield from roff.text(command.help or "")
    yield from (".PP", r"Every command has \-\-help, or \-h; crproxy itself has \-\-version, too.")
    yield ".SH COMMANDS"
    yield from _commands(context)
    yield ".SH OPTIONS OF THE DAEMON"
    yield "What crproxy serve and twistd \\-n crproxy take."
    yield from roff.options(_options_of_daemon())
    yield ".SS Examples"
    yield from roff.as_it_is(each.strip() for each in Options.examples)
    yield ".SH EXIT STATUS"
    yield from roff.options([("0", "All went well."), *_statuses()])
    yield ".SH ENVIRONMENT"
    yield from roff.options(_ENVIRONMENT.items())
    yield ".SH FILES"
    yield from roff.options(_FILES.items())
    yield from (".SH SEE ALSO", ".BR crproxy.toml (5),", ".BR twistd (1)")


def _released() -> str:
    """Return when the present version was released, by the changelog."""
    found: dict[str, str] = dict(_RELEASED.findall(_CHANGELOG.read_text("utf-8")))
    return found[__version__]


def _commands(context: click.Context) -> Iterator[str]:
    """Give each command below a group, and what is below that."""
    group = context.command
    assert isinstance(group, click.Group)
    for name, each in group.commands.items():
        within = click.Context(each, context, info_name=name, **each.context_settings)
        usage = " ".join([within.command_path, *each.collect_usage_pieces(within)])
        yield f".SS {roff.escaped(usage)}"
        yield from roff.text(each.help or "")
        yield from roff.options(_record(one) for one in each.params if isinstance(one, click.Option))
        if isinstance(each, click.Group):
            yield from _commands(within)


def _record(option: click.Option) -> tuple[str, str]:
    """Return an option's names and what it is for. Not as click words it: that changes with its versions."""
    value = option.metavar
    if value is None and isinstance(option.type, click.Choice):
        value = f"{{{'|'.join(option.type.choices)}}}"
    if value is None and not option.is_flag:
        value = "NUMBER" if isinstance(option.type, click.IntRange) else "VALUE"
    usual = f" [default: {option.default}]" if option.show_default else ""
    return ", ".join(sorted(option.opts, key=len)) + (f" {value}" if value else ""), f"{option.help}{usual}"


def _options_of_daemon() -> Iterator[tuple[str, str]]:
    options = Options()
    short = {long: key for key, long in options.synonyms.items() if len(key) == 1}
    for option in sorted(options.longOpt):
        name = option.rstrip("=")
        names = f"-{short[name]}, --{name}" if name in short else f"--{name}"
        yield names + (" VALUE" if option.endswith("=") else ""), " ".join(options.docs[name].split())


def _statuses() -> Iterator[tuple[str, str]]:
    """Give the rows of the documentation's table."""
    for status, of, when in _STATUSES.findall(_OPERATIONS.read_text("utf-8")):
        yield status, f"Of {of.replace('`', '')}: {when}."


def main() -> None:
    """Write them, where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write them")
    if parser.parse_args().write:
        for path, page in PAGES.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
