"""``crproxy setup``: prints a client's files for this proxy; writes none."""

from __future__ import annotations

import functools
import json
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ..config import ConfigError
from ..oci.names import Registry
from ..policy.setups import DAEMON_JSON, SETUPS, Login, Setup, SetupError, Target, merge_docker
from .arguments import RegistryName
from .configuration_fault import fault_in
from .configuration_file import read_config
from .options import config_option, daemon_options, options_of
from .proxy_address import configured_proxy, named_proxy
from .setup_proxied import ASKS_FOR_LOGIN, proxied

__all__ = ["setup"]


@click.command(short_help="Print a client's configuration for this proxy.")
@click.argument("client", type=click.Choice(list(SETUPS)))
@click.option("--host", help="The proxy: cr.example.com, or http://localhost:5000.  [default: as it is configured]")
@click.option(
    "--registry",
    "registries",
    multiple=True,
    type=RegistryName(),
    help="Pull this registry through the proxy, and no others. Repeatable.",
)
@click.option("--login", metavar="USER", help="For a proxy that asks for a login.")
@click.option("--password-stdin", is_flag=True, help="Read the password, for files that hold it, from standard input.")
@click.option("--proxy", "as_proxy", is_flag=True, help="The client is to ask it as its HTTP proxy: names stay.")
@click.option(
    "--ca",
    "ca_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --proxy: what crproxy ca export has printed.  [default: the running daemon is asked]",
)
@click.option(
    "--socket",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="With --proxy: the admin socket of the daemon that is asked.  [default: as for crproxy ca export]",
)
@click.option(
    "--merge",
    metavar="[FILE]",
    is_flag=False,
    flag_value=DAEMON_JSON,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Docker's file is there: print all of it, with what is added. Put it last.  [default: {DAEMON_JSON}]",
)
@click.option("--bare", is_flag=True, help="Print the file and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one document for programs.")
@config_option
@functools.partial(daemon_options, taken=["proxy"])
def setup(
    client: str,
    host: str | None,
    registries: tuple[Registry, ...],
    login: str | None,
    password_stdin: bool,
    as_proxy: bool,
    ca_file: Path | None,
    socket: Path | None,
    merge: Path | None,
    bare: bool,
    as_json: bool,
    config_file: str | None,
    **said: Any,
) -> None:
    """Print what CLIENT needs to pull through this proxy: the file, where it goes, and what to do then.

    The proxy is the one of the configuration, or --host. Nothing is written, and nobody is asked, but for the CA that
    clients are to trust with --proxy.

    \b
    Examples:
      crproxy setup docker --host cr.example.com
      crproxy setup docker --host cr.example.com --bare --merge
      crproxy setup containerd --host cr.example.com
      crproxy setup podman --host http://localhost:5000 --registry quay.io
      crproxy setup k3s --host cr.example.com --login alice --password-stdin < password
      crproxy setup ollama --host cr.example.com
      crproxy setup docker --proxy --host http://cr.example.com:3128
    """
    user = _login(login, password_stdin)
    for option, value in (("--ca", ca_file), ("--socket", socket)):
        if value is not None and not as_proxy:
            raise click.UsageError(f"{option} goes with --proxy")
    if as_proxy:
        if registries:
            raise click.UsageError("with --proxy, [proxy] of the configuration says which registries: leave --registry")
        made = proxied(client, host, config_file, said, user, ca_file, socket)
    else:
        target = _at(host) if host is not None else _configured(config_file, said, login)
        made = _made(client, replace(target, registries=registries, login=user))
    if merge is not None:
        made = _merged(client, made, merge, as_proxy)
    if as_json:
        click.echo(json.dumps(asdict(made), indent=2, ensure_ascii=False))
    elif bare:
        advice = "leave --bare, or take --json" if as_proxy else "name one --registry with --bare"
        click.echo(_bare(made, advice), nl=False)
    else:
        click.echo(printed(made), nl=False)


def _made(client: str, target: Target) -> Setup:
    try:
        return SETUPS[client](target)
    except SetupError as error:
        raise click.ClickException(str(error)) from error


def _merged(client: str, made: Setup, file: Path, as_proxy: bool) -> Setup:
    if client != "docker" or as_proxy:
        raise click.UsageError("--merge is for docker without --proxy: all else has a file of its own")
    try:
        # What ends lines otherwise is no JSON, and is to be seen.
        text = file.read_bytes().decode() if file.exists() else ""
        return merge_docker(made, text)
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except SetupError as error:
        raise click.ClickException(f"{file} cannot be merged: {error}") from None


def printed(made: Setup) -> str:
    """Return a set-up for people: what comes of it, the files with their places, and what to do then."""
    parts = [textwrap.fill(made.about, 100)]
    for file in made.files:
        parts += [f"--- {file.path}", file.text.rstrip("\n")]
    for file in made.added:
        parts += [f"--- {file.path}, added to what is there", file.text.rstrip("\n")]
    if made.merge:
        parts += ["--- which this does, as root; all else in the file stays", made.merge.rstrip("\n")]
    return "\n\n".join([*parts, "--- and then", "\n".join(made.then)]) + "\n"


def _bare(made: Setup, advice: str) -> str:
    files = made.files or made.added
    if not files:
        raise click.ClickException("no file is needed for that; without --bare it is said what is")
    if len(files) > 1:
        raise click.UsageError(f"these are {len(files)} files: {advice}")
    return files[0].text


def _at(host: str) -> Target:
    """Return the proxy that ``--host`` names."""
    authority, secure = named_proxy(host)
    return Target.at(authority, secure=secure)


def _configured(config_file: str | None, said: dict[str, Any], login: str | None) -> Target:
    try:
        config = read_config(config_file, options_of(said))
    except ConfigError as error:
        raise fault_in(config_file, error, "name the proxy by --host") from error
    if config.clients.users is not None and login is None:
        click.echo(ASKS_FOR_LOGIN, err=True)
    authority, secure = configured_proxy(config)
    return Target.of_names(config.names, authority, secure=secure)


def _login(user: str | None, password_stdin: bool) -> Login | None:
    if user is None:
        if password_stdin:
            raise click.UsageError("--password-stdin goes with --login USER")
        return None
    if not user or ":" in user or not user.isprintable():
        raise click.BadParameter("a user's name has no colon (RFC 7617, 2)", param_hint="--login")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    if password is not None and not password:
        raise click.UsageError("there is no password on standard input")
    return Login(user, password)
