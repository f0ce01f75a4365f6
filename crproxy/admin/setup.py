"""``crproxy setup``: prints a client's files for this proxy; writes none."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ..config import Config, ConfigError
from ..oci.names import Registry
from ..policy.endpoints import parse_endpoint
from ..policy.setups import SETUPS, Login, Setup, SetupError, Target
from ..policy.urls import origin_of
from .arguments import RegistryName
from .configuration_file import read_config
from .options import config_option, daemon_options, options_of
from .setup_proxied import ASKS_FOR_LOGIN, proxied

__all__ = ["setup"]

_SCHEME_PORTS = {"https": 443, "http": 80}


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
@click.option("--bare", is_flag=True, help="Print the file and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one document for programs.")
@config_option
@daemon_options
def setup(
    client: str,
    host: str | None,
    registries: tuple[Registry, ...],
    login: str | None,
    password_stdin: bool,
    as_proxy: bool,
    ca_file: Path | None,
    socket: Path | None,
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
      crproxy setup containerd --host cr.example.com --login alice
      crproxy setup podman --host http://localhost:5000 --registry quay.io --bare
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


def printed(made: Setup) -> str:
    """Return a set-up for people: what comes of it, the files with their places, and what to do then."""
    parts = [textwrap.fill(made.about, 100)]
    for file in made.files:
        parts += [f"--- {file.path}", file.text.rstrip("\n")]
    for file in made.added:
        parts += [f"--- {file.path}, added to what is there", file.text.rstrip("\n")]
    return "\n\n".join([*parts, "--- and then", "\n".join(made.then)]) + "\n"


def _bare(made: Setup, advice: str) -> str:
    if not made.files:
        raise click.ClickException("no file is needed for that; without --bare it is said what is")
    if len(made.files) > 1:
        raise click.UsageError(f"these are {len(made.files)} files: {advice}")
    return made.files[0].text


def _at(host: str) -> Target:
    """Return the proxy that ``--host`` names: without a scheme this machine's is plain, any other is not."""
    origin = origin_of(host) or origin_of(f"https://{host}")
    if (
        origin is None
        or host.partition("://")[2].strip("/").count("/")
        or (not host.startswith("http") and "/" in host)
    ):
        raise click.BadParameter(
            f"{host!r} is no host: write cr.example.com, or http://localhost:5000", param_hint="--host"
        )
    authority = host.partition("://")[2].strip("/") if "://" in host else host
    target = Target.at(authority.lower(), secure=True)
    return replace(target, secure=origin.scheme == "https" if "://" in host else not target.is_loopback)


def _configured(config_file: str | None, said: dict[str, Any], login: str | None) -> Target:
    try:
        config = read_config(config_file, options_of(said))
    except ConfigError as error:
        raise click.ClickException(f"{error}; or name the proxy by --host") from error
    if config.clients.users is not None and login is None:
        click.echo(ASKS_FOR_LOGIN, err=True)
    scheme, port = config.reached_at
    name = config.names.domain or _local_name(config)
    authority = name if port == _SCHEME_PORTS[scheme] else f"{name}:{port}"
    return Target.of_names(config.names, authority, secure=scheme == "https")


def _local_name(config: Config) -> str:
    for description in config.listen.http:
        endpoint = parse_endpoint(description)
        if endpoint.port:
            host = endpoint.host
            return "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
    raise click.ClickException("the configuration does not tell how clients reach this proxy: name it by --host")


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
