"""``crproxy config``: the configuration as the daemon reads it, checked and shown. No daemon is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import config_option, daemon_options
from .printing import print_json, print_table
from .shared_options import json_option

if TYPE_CHECKING:
    from ..config.showing import Setting
    from .config_reading import Reading

__all__ = ["config"]

# As of the daemon that cannot start by a mistake in its configuration.
_FAULTY = 2
_NO_FILE = "there is no file: everything is as it is by default, or said by options and variables"


@click.group(short_help="Check and show the configuration.")
def config() -> None:
    """Check and show the configuration, as the daemon reads it: file, environment variables and options.

    \b
    Examples:
      crproxy config check
      crproxy config show
      crproxy config schema > crproxy.schema.json
    """


@config.command()
@click.argument("file", required=False)
@config_option
@daemon_options
@json_option
def check(file: str | None, config_file: str | None, as_json: bool, **said: Any) -> None:
    """Say all that is wrong with the configuration, or with FILE.

    What it takes of this machine is looked at as well, but for ports: the files that it names, directories, what is
    installed. Exits with 2 where something is wrong.

    \b
    Examples:
      crproxy config check
      crproxy config check ./crproxy.toml
    """
    from .config_reading import read

    reading = read(file or config_file, said)
    if as_json:
        print_json(reading.document())
    else:
        for line in (*reading.lines(), *reading.warnings):
            click.echo(line, err=True)
        if not reading.faults:
            click.echo(f"{reading.name}: {'it can be used' if reading.has_file else _NO_FILE}")
    raise click.exceptions.Exit(_FAULTY if reading.faults else 0)


@config.command(short_help="Say what counts, and where it comes from.")
@config_option
@daemon_options
@json_option
def show(config_file: str | None, as_json: bool, **said: Any) -> None:
    """Say what counts, and where it comes from: the file and its line, an option, a variable, or the default.

    Passwords are left out. Exits with 2 where the configuration cannot be used.

    \b
    Examples:
      crproxy config show
      CRPROXY_CACHE_SIZE=50G crproxy config show --json
    """
    from .config_reading import read

    reading = read(config_file, said)
    if reading.faults:
        for line in reading.lines():
            click.echo(line, err=True)
        raise click.exceptions.Exit(_FAULTY)
    found = list(reading.settings())
    if as_json:
        print_json([_document(setting, reading) for setting in found])
        return
    rows = ((setting.key, _written(setting), setting.source.told(reading.name)) for setting in found)
    print_table(("KEY", "VALUE", "FROM"), rows)


@config.command(short_help="Print the JSON Schema of the file.")
def schema() -> None:
    """Print the JSON Schema of the file, by which editors complete and check it.

    An editor that knows TOML finds it by a first line such as #:schema ./crproxy.schema.json.

    \b
    Example:
      crproxy config schema > crproxy.schema.json
    """
    from ..config.schema import schema as made

    print_json(made())


def _written(setting: Setting) -> str:
    from ..config.table import written

    return setting.words if setting.value is None else written(setting.value)


def _document(setting: Setting, reading: Reading) -> dict[str, Any]:
    source = setting.source
    where = source.told(reading.name) if source.kind != "default" else None
    words = {"words": setting.words} if setting.words else {}
    return {"key": setting.key, "value": setting.value, **words, "source": source.kind, "where": where}
