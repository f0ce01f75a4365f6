"""The manual page of the configuration's file, made from the table of its keys: see ``tests.manual``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crproxy import __version__
from crproxy.config.key import EACH, ITEM, Key, Kind
from crproxy.config.keys import FREE_TABLES, KEYS, tables
from crproxy.config.options import OPTIONS
from crproxy.config.variables import variable_of
from tests import roff

__all__ = ["PAGE", "lines"]

PAGE = Path(__file__).parent.parent / "share" / "man" / "man5" / "crproxy.toml.5"

_DESCRIPTION = """
    The configuration of crproxy(1), in TOML. It is read from the file that --config names, else from
    /etc/crproxy/crproxy.toml, if it is there. All keys are optional, and one that does not exist is an error.
    Options on the command line win over environment variables, and these over the file.

    What is wrong in it is told in one line, with the file, the line and what to do, and the daemon does not start: exit
    status 2. A running one reads it again on SIGHUP, and goes on as before where it is wrong.
    """
_FREE = {
    "aliases": "Each key is a label below the domain, or a whole host name; its value is the registry it stands for.",
    "pins": "Each key is an image with its tag, in quotes; its value is the digest that the tag is answered by.",
}
_COMMANDS = (
    ("crproxy config check", "says all that is wrong, also of a file that is named."),
    ("crproxy config show", "says what counts, and where each value comes from."),
    ("crproxy config schema", "prints the JSON schema, by which editors complete and check it."),
)
_EXAMPLE = """\
domain = "cr.example.com"

[acme]
email = "ops@example.com"

[cache]
size = "50G"

[aliases]
corp = "registry.corp.example"

[upstreams."docker.io"]
username = "somebody"
password_file = "/etc/crproxy/docker.io.password"
"""
# How a value is written.
_WRITTEN = {
    Kind.TEXT: "a text",
    Kind.FILE: "a path",
    Kind.URL: "a URL",
    Kind.SECRET: "a text, which is never shown",
    Kind.BOOLEAN: "true or false",
    Kind.WORKERS: 'a whole number, or "auto"',
    Kind.DURATION: 'a duration, such as "20s", "5m", "1h" or "30d"',
    Kind.DURATION_OR_OFF: 'a duration, such as "20s" or "30d", or "off"',
    Kind.SIZE: 'a size, such as "50G" or "512MiB"',
    Kind.RATE: 'a rate, such as "10M/s", or "0"',
    Kind.FREQUENCY: 'how often, such as "100/m", or "0"',
    Kind.TEXTS: "a list of texts",
    Kind.NETWORKS: 'a list of addresses and networks, such as ["10.0.0.0/8"]',
    Kind.ENDPOINTS: "a list of Twisted endpoints",
    Kind.IDENTITIES: "a list of tables with subject and issuer",
    Kind.UPSTREAM: "a URL, or a list of URLs and tables",
}


def lines(released: str) -> Iterator[str]:
    """Give its lines, in roff with the macros of man(7).

    Arguments:
        released: when the present version was.
    """
    yield '.\\" Made from the table of the keys: make man'
    yield f'.TH CRPROXY.TOML 5 "{released}" "crproxy {__version__}" "File Formats"'
    yield from (
        ".SH NAME",
        r"crproxy.toml \- the configuration of crproxy",
        ".SH SYNOPSIS",
        "/etc/crproxy/crproxy.toml",
    )
    yield ".SH DESCRIPTION"
    yield from roff.text(_DESCRIPTION)
    yield from roff.options(_COMMANDS)
    for table in tables():
        yield from _table(table)
    for table in FREE_TABLES:
        yield f".SH {roff.escaped(f'[{table}]')}"
        yield from roff.wrapped(_FREE[table])
    yield ".SH ENVIRONMENT"
    yield from roff.options(
        (variable_of(option), f"As --{option.name}: {_stands_for(option.key)}.") for option in OPTIONS
    )
    yield ".SH EXAMPLES"
    yield from roff.as_it_is(_EXAMPLE.splitlines())
    yield from (".SH SEE ALSO", ".BR crproxy (1)", ".PP")
    yield from roff.wrapped("docs/configuration.md of the source, which has more to say of some of them.")


def _table(table: str) -> Iterator[str]:
    name = table.replace(EACH, '"REGISTRY"').removesuffix(f".{ITEM}")
    name = f"[[{name}]]" if ITEM in table else f"[{name}]"
    yield f".SH {roff.escaped(name)}" if table else ".SH AT THE TOP"
    if EACH in table:
        yield from roff.wrapped("A table for each registry, by its name, such as quay.io.")
    yield from roff.options((key.name, _told(key)) for key in KEYS if key.table == table)


def _told(key: Key) -> str:
    """Return what is told of a key."""
    meaning = key.plain_meaning
    return f"{meaning[0].upper()}{meaning[1:]}. Written as {_written(key)}. Without it: {key.plain_default}."


def _written(key: Key) -> str:
    if key.kind is Kind.CHOICE:
        return " or ".join(f'"{choice}"' for choice in key.choices)
    if key.kind is Kind.WHOLE:
        return f"a whole number from {key.least} {'on' if key.most is None else f'to {key.most}'}"
    return _WRITTEN[key.kind]


def _stands_for(key: str) -> str:
    return f"in place of the key {key}" if key else "which file is read"
