"""``crproxy rewrite``: files with the names of images in them, for this proxy."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..config import Config, ConfigError
from ..policy.external_address import external_address
from ..policy.pull_commands import PullMethod
from ..policy.rewriting import NotText, Renaming, Rewriting, decode
from ..policy.rewriting import rewrite as rewritten
from ..policy.routing import Names, host_name
from ..policy.setups import Target
from .alias_file import rewrite as rewrite_file
from .configuration_fault import fault_in
from .configuration_file import read_config
from .options import config_option, daemon_options, options_of
from .proxy_address import configured_proxy, named_proxy

__all__ = ["rewrite"]

_STDIN = "-"
_FORMS = [PullMethod.PREFIX.value, PullMethod.ALIAS.value]


@click.command(short_help="Rewrite the images' names in a file for this proxy.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--host", help="The proxy: cr.example.com, or http://localhost:5000.  [default: as it is configured]")
@click.option(
    "--form",
    type=click.Choice(_FORMS),
    default=_FORMS[0],
    help="Which of a name's forms is written where there are both: cr.example.com/quay.io/org/app, or "
    "quay.cr.example.com/org/app.  [default: prefix]",
)
@click.option("--in-place", "-i", is_flag=True, help="Write each file anew, where something in it changes.")
@click.option("--diff", is_flag=True, help="Print the differences in place of the file.")
@click.option("--check", is_flag=True, help="Print nothing; the exit status is 1 where something would change.")
@click.option(
    "--as",
    "name",
    metavar="NAME",
    help="Read it as a file of this name: Dockerfile, compose.yaml, pull.sh.  [default: its own]",
)
@config_option
@daemon_options
def rewrite(
    files: tuple[Path, ...],
    host: str | None,
    form: str,
    in_place: bool,
    diff: bool,
    check: bool,
    name: str | None,
    config_file: str | None,
    **said: Any,
) -> None:
    """Print each FILE with the names of its images rewritten for this proxy, and all else as it was, byte for byte.

    A compose file, manifests, Helm's values, a kustomization, a Dockerfile, a pipeline of GitLab's or GitHub's, a shell
    script, a list of names or of web pages about images: - is standard input. What stays as it is, such as a name that
    a variable decides, is told on standard error.

    \b
    Examples:
      crproxy rewrite compose.yaml > compose.cr.yaml
      crproxy rewrite --in-place Dockerfile deploy/*.yaml
      crproxy rewrite --diff --form alias --host cr.example.com values.yaml
      helm template web ./chart | crproxy rewrite - | kubectl apply -f -
      crproxy rewrite --check compose.yaml
    """
    if in_place and (diff or check):
        raise click.UsageError("--in-place writes, --diff and --check do not: take one of them")
    if in_place and _STDIN in map(str, files):
        raise click.UsageError("standard input cannot be written in place")
    if len(files) > 1 and not (in_place or diff or check):
        raise click.UsageError("several files are rewritten with --in-place, --diff or --check")
    renaming = _named(host, form) if host is not None else _configured(config_file, said, form)
    changed = False
    for file in files:
        before, found = _read(file, renaming, name)
        _tell(file, found)
        changed = changed or bool(found.changes)
        after = found.text.encode()
        if in_place and found.changes:
            _write(file, renaming, name)
        elif diff:
            _print(_differences(str(file), before, after))
        elif not check and not in_place:
            _print(after)
    if check and changed:
        sys.exit(1)


def _named(host: str, form: str) -> Renaming:
    """Return how names are written for the proxy that ``--host`` names: what is built in is taken to be there."""
    authority, secure = named_proxy(host)
    aliases = Target.at(authority, secure=secure).aliases
    hosts = {host_name(alias): registry for registry, alias in aliases.items()}
    names = Names(host_name(authority), hosts) if hosts else Names()
    return _renaming(Config(names), authority, secure, form)


def _configured(config_file: str | None, said: dict[str, Any], form: str) -> Renaming:
    try:
        config = read_config(config_file, options_of(said))
    except ConfigError as error:
        raise fault_in(config_file, error, "name the proxy by --host") from error
    return _renaming(config, *configured_proxy(config), form)


def _renaming(config: Config, authority: str, secure: bool, form: str) -> Renaming:
    address = external_address(config.names, authority, secure=secure)
    return Renaming(address, config.serves(), PullMethod(form))


def _read(file: Path, renaming: Renaming, name: str | None) -> tuple[bytes, Rewriting]:
    is_stdin = str(file) == _STDIN
    try:
        data = sys.stdin.buffer.read() if is_stdin else file.read_bytes()
        text = decode(data)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error
    except NotText as error:
        raise click.ClickException(f"{file}: {error}") from error
    return data, rewritten(text, renaming, name or ("" if is_stdin else file.name))


def _tell(file: Path, found: Rewriting) -> None:
    if found.unread_from is not None:
        click.echo(
            f"{file}:{found.unread_from}: this is no YAML from here on: only commands, and lines that say image:, "
            "were rewritten",
            err=True,
        )
    for kept in found.kept:
        click.echo(f"{file}:{kept.line}: {kept.name} stays as it is: {kept.reason.value}", err=True)


def _differences(name: str, before: bytes, after: bytes) -> bytes:
    old, new = (text.decode().splitlines(keepends=True) for text in (before, after))
    return "".join(_whole_lines(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))).encode()


def _whole_lines(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _print(data: bytes) -> None:
    # As it is: a text would have the ends of its lines, and its letters, by the rules of this machine.
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write(file: Path, renaming: Renaming, name: str | None) -> None:
    """Rewrite a file where it is, at once: a link stays one, and so do its owner and its permissions."""
    try:
        rewrite_file(file, lambda text: rewritten(text, renaming, name or file.name).text)
    except (OSError, ConfigError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise click.ClickException(f"{file} cannot be written: {why}") from error
