"""Does the daemon run with what the configuration's file says? It says so itself: it knows how it was started."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import Agent

from ... import __version__
from ...config import Config, ConfigError, Options
from ...policy.endpoints import parse_endpoint
from ...upstream.agent import cancelled_as_such
from ...upstream.errors import TRANSPORT_ERRORS, describe
from ...upstream.relay import BodyBroke, BodyTooLarge, collect
from ..configuration_file import read_config
from ..endpoint import admin_endpoint
from ..loaded import Loaded
from .configuration import Reading
from .daemon import Daemon
from .environment import SECONDS, ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped, warning
from .http_probe import Always, client_endpoint

__all__ = ["check_loaded", "compare"]

_LIMIT = 1024 * 1024
_RUNNING = "what runs"


async def check_loaded(
    config: Config, reading: Reading, unreadable: Collection[str], daemon: Daemon, environment: ProbeEnvironment
) -> list[Finding]:
    """Ask the daemon what it runs with; return how that is beside ``reading``, which ``config`` comes from.

    Arguments:
        unreadable: files of which it is told already that the daemon may not read them.
    """
    description = admin_endpoint(config)
    if daemon.admin is None or daemon.admin.status is None or not description:
        return []
    endpoint = client_endpoint(parse_endpoint(description), environment.reactor)
    if endpoint is None:
        return [skipped(Area.CONFIGURATION, _RUNNING, "where the admin socket is cannot be told from here")]
    try:
        version, loaded = await _ask(endpoint, environment)
    except (*TRANSPORT_ERRORS, BodyBroke, BodyTooLarge) as error:
        return [skipped(Area.CONFIGURATION, _RUNNING, f"the daemon does not say: {describe(error)}")]
    except (ValueError, KeyError, TypeError):
        return [skipped(Area.CONFIGURATION, _RUNNING, "the daemon is of another version, and does not say")]
    same = loaded.options is None or _means_the_same(loaded.options, config, reading.file)
    return compare(version, loaded, reading.file, unreadable, None if same else reading.options)


def compare(
    version: str,
    loaded: Loaded,
    read: str | None,
    unreadable: Collection[str] = (),
    other_options: Sequence[str] | None = None,
) -> list[Finding]:
    """Return how what runs is beside what its file says.

    Arguments:
        version: the daemon's.
        read: the file that the doctor has read; None for none.
        unreadable: files of which it is told already that the daemon may not read them.
        other_options: the doctor's own, as words of a command line, where the file comes to something else by them
            than by the daemon's; None where it does not.
    """
    told = next((file for file in unreadable if file in loaded.trouble), None)
    if told is None:
        found = [_file(loaded)]
    else:
        found = [skipped(Area.CONFIGURATION, loaded.file or _RUNNING, f"the daemon cannot read it again: see {told}")]
    ours = None if read is None else str(Path(read).absolute())
    if loaded.file is not None and ours is not None and not _same(loaded.file, ours):
        text = f"is not what the daemon reads: that is {loaded.file}, so what follows is of another configuration"
        found.append(warning(Area.CONFIGURATION, ours, text, f"crproxy doctor --config {loaded.file}"))
    elif loaded.file is None and ours is not None:
        text = "is not read by the daemon, which was started without a file"
        found.append(
            warning(Area.CONFIGURATION, ours, text, f"Start the daemon with --config {ours}, or as its unit does")
        )
    elif other_options is not None:
        found.append(_other_options(loaded.options or (), other_options))
    if version != __version__:
        text = f"it is crproxy {version}, and this is {__version__}"
        found.append(
            warning(Area.DAEMON, "version", text, "Restart crproxy, if it was upgraded: systemctl restart crproxy")
        )
    return found


def _other_options(theirs: Sequence[str], ours: Sequence[str]) -> Finding:
    started, looked = shlex.join(theirs), shlex.join(ours)
    text = (
        f"crproxy was started {_with(started)}, and the doctor {_with(looked)}: "
        "what follows is of another configuration"
    )
    again = f"crproxy doctor {started}".rstrip()
    advice = f"{again}; or write what they say into the configuration's file, which every command reads"
    return failed(Area.CONFIGURATION, "options", text, advice if started else again)


def _with(words: str) -> str:
    return f"with {words}" if words else "without options"


def _means_the_same(words: Sequence[str], config: Config, file: str | None) -> bool:
    """Tell whether ``file`` comes to ``config`` by the options ``words``, too; how the log looks is no matter."""
    try:
        return replace(read_config(file, Options.of(words)), log=config.log) == config
    except ConfigError:
        return False


def _file(loaded: Loaded) -> Finding:
    subject, since = loaded.file or _RUNNING, _moment(loaded.read_at)
    if loaded.trouble:
        text = f"the daemon runs with what it read {since}, and could not read it as it is now: {loaded.trouble}"
        return failed(Area.CONFIGURATION, subject, text, "Correct it, and reload crproxy: systemctl reload crproxy")
    if not loaded.changed and not loaded.late:
        return fine(Area.CONFIGURATION, subject, f"is what the daemon runs with, as it was read {since}")
    parts = [*loaded.changed]
    if loaded.late:
        parts.append(f"{', '.join(loaded.late)} (by a restart alone)")
    advice = "Restart crproxy: systemctl restart crproxy" if loaded.late else "Reload crproxy: systemctl reload crproxy"
    text = f"has changed since the daemon read it {since}, and does not count yet: {'; '.join(parts)}"
    return warning(Area.CONFIGURATION, subject, text, advice)


async def _ask(endpoint: IStreamClientEndpoint, environment: ProbeEnvironment) -> tuple[str, Loaded]:
    clock = environment.reactor
    agent = Agent.usingEndpointFactory(clock, Always(endpoint))
    asked = cancelled_as_such(agent.request(b"GET", b"http://crproxy/configuration"))
    response = await asked.addTimeout(SECONDS, clock)
    document: Any = json.loads(await collect(response, _LIMIT, SECONDS, clock))
    return str(document["version"]), Loaded.of(document)


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return one == other


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("on %Y-%m-%d at %H:%M:%S UTC")
