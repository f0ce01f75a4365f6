"""What a configuration takes of the machine that it is for, besides the files that are read: told before a start.

Ports are not among it: whether one is free is known as soon as it is listened on.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString

from ..config import Config, ConfigError, OptionError, Options
from ..config.upstreams import unreadable
from ..tls.certificates import BadCertificate, Certified

__all__ = ["doubts", "lacks"]

_BY_SYSTEMD = "systemd:"
_LAST_PORT = 65535


def lacks(
    config: Config, reactor: Any, *, by_systemd: bool = True, options: Options | None = None
) -> Iterator[ConfigError]:
    """Yield what is wrong.

    Arguments:
        reactor: what endpoints are made for; nothing is listened on.
        by_systemd: this process is the one that systemd hands its sockets to.
        options: what was said beside the file, and is called so.
    """
    for table, is_there, module in (
        ("[storage]", config.storage is not None, "obstore"),
        ("[fleet]", config.fleet is not None, "txredisapi"),
    ):
        if is_there and importlib.util.find_spec(module) is None:
            yield ConfigError(f"{table} needs what is not installed: pip install 'crproxy[fleet]'")
    for description in _endpoints(config):
        if by_systemd or _BY_SYSTEMD not in description:
            yield from _not_an_endpoint(description, reactor)
    if config.certs is not None:
        is_said = options is not None and options.certs is not None
        yield from _not_a_directory(config.certs, options.called("certs") if options is not None and is_said else None)


def _endpoints(config: Config) -> Iterator[str]:
    yield from (description for description, _ in config.client_endpoints)
    yield from filter(None, (config.listen.admin, config.metrics.listen))
    if config.fleet is not None:
        yield from config.fleet.listen


def _not_an_endpoint(description: str, reactor: Any) -> Iterator[ConfigError]:
    try:
        endpoint = serverFromString(reactor, description)
        if not 0 <= getattr(endpoint, "_port", 0) <= _LAST_PORT:
            raise ValueError(f"ports are 0 to {_LAST_PORT}")
    except Exception as error:  # whatever its parser, or OpenSSL with the files that it names, may raise
        yield ConfigError(_no_endpoint(description, error))


def _no_endpoint(description: str, error: Exception) -> str:
    if _BY_SYSTEMD in description and isinstance(error, LookupError):
        return f"{description!r}: systemd has handed over no such socket: start crproxy.socket before the service"
    if isinstance(error, OSError) and error.filename:
        return f"{description!r}: {unreadable(str(error.filename), error)}"
    return f"{description!r} is not an endpoint ({error}): write one such as tcp:5000:interface=127.0.0.1"


def _not_a_directory(certs: str, option: str | None) -> Iterator[ConfigError]:
    try:
        next(os.scandir(Path(certs)), None)
    except OSError as error:
        why = unreadable(certs, error)
        yield ConfigError(f"certs: {why}") if option is None else OptionError(f"{option}: {why}")


def doubts(config: Config, now: float) -> Iterator[str]:
    """Yield what is wrong with certificates that the operator keeps. The daemon starts all the same.

    Arguments:
        now: seconds since the epoch.
    """
    if not config.listen.https and not config.forward.listen_tls:
        return
    names: set[str] = set()
    files = [] if config.certs is None else sorted(Path(config.certs).glob("*.pem"))
    for file in files:
        try:
            certified = Certified.from_pem(file.read_bytes())
        except OSError as error:
            yield unreadable(str(file), error)
        except BadCertificate as error:
            yield f"{file} cannot be used: {error}"
        else:
            names |= certified.names
            if certified.not_after < now:
                ended = time.strftime("%Y-%m-%d", time.gmtime(certified.not_after))
                yield f"{file} has a certificate that ended on {ended}: replace it"
    domain = config.names.domain
    if config.acme.directory is None and domain is not None and names.isdisjoint(_covering(domain)):
        yield f"no certificate is here for {domain}, and nothing issues one: set certs, or directory under [acme]"


def _covering(name: str) -> set[str]:
    return {name, f"*.{name.partition('.')[2]}"}
