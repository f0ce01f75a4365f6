"""The CA by which the HTTP proxy answers in the place of registries: is there one, for which names, and until when?"""

from __future__ import annotations

import time
from pathlib import Path

from ...config import Config
from ...forward.authorities import DIRECTORY, Authorities
from .daemon import Daemon
from .environment import ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped, warning

__all__ = ["check_proxy"]


def check_proxy(config: Config, daemon: Daemon, environment: ProbeEnvironment) -> list[Finding]:
    """Return how it stands with that; nothing where there is no HTTP proxy."""
    if not config.forward.is_on:
        return []
    directory = Path(config.data_dir) / DIRECTORY
    authorities = Authorities(directory, environment.now)
    try:
        authorities.read()
    except OSError as error:
        return [skipped(Area.PROXY, str(directory), f"it cannot be looked at: {error.strerror}")]
    if authorities.trusted:
        return [_signing(config, authorities), *_both(authorities)]
    if not daemon.runs:
        return [skipped(Area.PROXY, str(directory), "crproxy makes a CA when it starts, and is not running")]
    where = "Is Valkey up? The CA is the fleet's" if config.fleet is not None else "See crproxy's log"
    return [failed(Area.PROXY, str(directory), "there is no CA: no registry is answered", where)]


def _signing(config: Config, authorities: Authorities) -> Finding:
    newest, missing = authorities.trusted[-1], sorted(config.answered_hosts - authorities.trusted[-1].names)
    if missing:
        return warning(
            Area.PROXY,
            newest.fingerprint,
            f"is not for {', '.join(missing)}",
            "Reload crproxy, which makes another CA, and give clients what crproxy ca export prints then",
        )
    return fine(
        Area.PROXY, newest.fingerprint, f"may sign for {len(newest.names)} names until {_day(newest.not_after)}"
    )


def _both(authorities: Authorities) -> list[Finding]:
    if len(authorities.trusted) == 1:
        return []
    oldest = authorities.trusted[0]
    return [
        warning(
            Area.PROXY,
            oldest.fingerprint,
            "goes on signing for 90 days after the one that follows it was made",
            "Give clients what crproxy ca export prints within that time: it is both",
        )
    ]


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
