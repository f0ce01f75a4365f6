"""``crproxy user``."""

from __future__ import annotations

import functools
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..config import ConfigError, Options
from ..config.clients import read_users
from ..config.htpasswd import check_name, names_in, with_user, without_user
from .client import AdminClient, Refused, Unreachable
from .configuration_fault import ConfigurationFault, file_named
from .configuration_file import config_file, read_config, read_text
from .htpasswd_file import edit_file, is_open_to_all
from .printing import print_json, print_table
from .shared_options import json_option, named_config, socket_option

__all__ = ["user"]

Command = Callable[..., Any]

# Each step doubles the work: with less, what somebody stole is guessed too fast; with more, a login takes seconds.
_LEAST_COST, _MOST_COST = 10, 14
# Where bcrypt stops to read.
_PASSWORD_BYTES = 72


def _file_option(command: Command) -> Command:
    """Give ``command`` the option --file, and as its argument ``file`` what that says, or the configuration."""

    @functools.wraps(command)
    def with_file(*args: Any, file: Path | None, **options: Any) -> Any:
        return command(*args, file=file or _configured(named_config()), **options)

    option = click.option(
        "--file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The htpasswd file.  [default: the one that the configuration names]",
    )
    return option(with_file)


@click.group(short_help="Who may log in.")
def user() -> None:
    """Who may log in: the lines of the htpasswd file.

    The file is written all at once, a new one for nobody but the daemon's user; comments and other lines stay. A
    daemon that runs takes it up at once, and nothing else of its configuration.

    \b
    Examples:
      crproxy user add alice
      crproxy user list
      crproxy user remove alice
    """


@user.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input: its first line.")
@click.option("--replace", is_flag=True, help="Give somebody who has a line already a new password.")
@click.option(
    "--cost",
    type=click.IntRange(_LEAST_COST, _MOST_COST),
    default=_LEAST_COST,
    show_default=True,
    help="Of bcrypt: each step doubles the work of who guesses, and of the daemon at each login.",
)
@_file_option
@socket_option
def add(name: str, password_stdin: bool, replace: bool, cost: int, file: Path, client: AdminClient) -> None:
    """Let NAME log in.

    The password is asked for twice on the terminal, or read from standard input; it is no argument, which everybody on
    the machine could read.

    \b
    Examples:
      crproxy user add alice
      crproxy user add alice --replace
      crproxy user add ci --password-stdin < /run/secrets/ci
      crproxy user add alice --file /etc/crproxy/htpasswd
    """
    try:
        check_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    _refuse_twice(file, name, replace=replace)
    hashed = _hashed(_password(name, from_stdin=password_stdin), cost)

    def edit(text: str) -> str:
        if name in names_in(text) and not replace:
            raise _there_already(name, file)
        return with_user(text, name, hashed)

    made = _write(file, edit, _owner(client))
    click.echo(f"{name} is in {file}{', which was made' if made else ''}")
    _take_up(file, client)


@user.command()
@click.argument("name")
@_file_option
@socket_option
def remove(name: str, file: Path, client: AdminClient) -> None:
    """Let NAME log in no more. Tokens that they have count no more, either.

    The last one cannot be removed: a daemon does not take a file without users, by which nobody could log in.

    \b
    Example:
      crproxy user remove alice
    """

    def edit(text: str) -> str:
        names = names_in(text)
        if name not in names:
            raise click.ClickException(f"there is no {name} in {file}: crproxy user list shows who is")
        if set(names) == {name}:
            raise click.ClickException(
                f"{name} is the only one in {file}, and without any nobody could log in: add another one first, or, "
                "to serve everybody, take htpasswd out of [clients] in the configuration"
            )
        return without_user(text, name)

    if not file.exists():
        raise click.ClickException(f"there is no {file}")
    _write(file, edit)
    click.echo(f"{name} is not in {file} any more")
    _take_up(file, client)


@user.command("list")
@_file_option
@socket_option
@json_option
def list_users(file: Path, client: AdminClient, as_json: bool) -> None:
    """List who may log in. COUNTS says whether the daemon that runs knows of them.

    \b
    Examples:
      crproxy user list
      crproxy user list --json
    """
    text = _text_of(file)
    try:
        users = read_users(text)
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    try:
        state = client.ask("GET", "/users")
        known, trouble = set(state["users"] or ()), _difference(file, state["file"])
    except (Unreachable, Refused) as error:
        known, trouble = set(), error.message
    if as_json:
        described = [
            {"name": name, "cost": _cost_of(users[name]), "counts": not trouble and name in known} for name in users
        ]
        return print_json({"file": str(file), "users": described})

    def counts(name: str) -> str:
        return "unknown" if trouble else "yes" if name in known else "not yet"

    rows = [(name, f"bcrypt, cost {_cost_of(users[name])}", counts(name)) for name in users]
    print_table(("USER", "HASH", "COUNTS"), rows)
    if trouble:
        click.echo(trouble, err=True)
    return None


def _configured(config: str | None) -> Path:
    """Return the htpasswd file that the configuration names, which need not be there yet."""
    named: str | None
    try:
        named = read_config(config, Options()).clients.htpasswd
    except ConfigError:
        # Most likely since there is no such file, or nobody in it, which is what this command is for.
        named = _named_in(config)
    if named is None:
        raise ConfigurationFault(
            f"{file_named(config)} names no htpasswd file: name it by --file, and so that the daemon asks for a "
            'login, write htpasswd = "/etc/crproxy/htpasswd" below [clients] there'
        )
    return Path(named)


def _named_in(config: str | None) -> str | None:
    file = config_file(config)
    try:
        named = tomllib.loads(read_text(file)).get("clients", {}).get("htpasswd") if file else None
    except (OSError, ValueError, AttributeError) as error:
        raise click.ClickException(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return named if isinstance(named, str) else None


def _refuse_twice(file: Path, name: str, *, replace: bool) -> None:
    """Say before a password is asked for that there is one."""
    there = file.exists() and name in names_in(_text_of(file))
    if there and not replace:
        raise _there_already(name, file)


def _there_already(name: str, file: Path) -> click.ClickException:
    return click.ClickException(f"{name} is in {file} already: --replace gives a new password")


def _password(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = str(click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt="Once more"))
    else:
        raise click.UsageError("there is no terminal to ask for a password: --password-stdin reads it")
    if not password:
        raise click.UsageError("there is no password on standard input")
    if not password.isprintable():
        raise click.UsageError("a password has no control characters (RFC 7617, 2)")
    if len(password.encode()) > _PASSWORD_BYTES:
        raise click.UsageError(f"bcrypt reads {_PASSWORD_BYTES} bytes of a password: take a shorter one")
    return password


def _hashed(password: str, cost: int) -> str:
    # What has to be compiled is loaded only where something is hashed.
    import bcrypt

    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode("ascii")
    # The same algorithm by the name that htpasswd and other servers have for it.
    return hashed.replace("$2b$", "$2y$", 1)


def _cost_of(hashed: bytes) -> int:
    return int(hashed.split(b"$")[2])


def _text_of(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _write(file: Path, edit: Callable[[str], str], owner: int | None = None) -> bool:
    try:
        return edit_file(file, edit, owner)
    except BlockingIOError:
        raise click.ClickException(f"another command is changing {file}: try again") from None
    except FileNotFoundError:
        raise click.ClickException(
            f"{file} cannot be written: there is no such directory: mkdir -p {file.absolute().parent}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    except ConfigError as error:
        raise click.ClickException(f"{file}: {error}") from None


def _owner(client: AdminClient) -> int | None:
    """Return whose the daemon is: a file that nobody else may read is of use to it alone."""
    try:
        return client.path.stat().st_uid
    except OSError:
        return None


def _take_up(file: Path, client: AdminClient) -> None:
    """Have the daemon read the file again, and tell what came of it."""
    if is_open_to_all(file):
        click.echo(f"everybody on this machine may read {file}, hashes and all: chmod o-r {file}", err=True)
    try:
        trouble = _difference(file, client.ask("GET", "/users")["file"])
        if not trouble:
            client.ask("POST", "/users")
    except Unreachable as error:
        trouble = f"no daemon was told, it reads the file when it starts: {error.message}"
    except Refused as error:
        raise click.ClickException(f"the daemon does not take it: {error.message}") from None
    click.echo(trouble or "the daemon has taken it up", err=bool(trouble))


def _difference(file: Path, used: str | None) -> str:
    """Return what is to be done where the daemon reads another file; empty where it reads this one."""
    if used is None:
        return (
            f'the daemon asks nobody for a login: write htpasswd = "{file.absolute()}" below [clients] in its '
            "configuration, then systemctl reload crproxy"
        )
    try:
        same = file.samefile(used)
    except OSError:
        same = file.absolute() == Path(used)
    return "" if same else f"the daemon reads another file, {used}: what is in {file} does not count for it"
