"""Does the daemon run, and what answers at the endpoints that it should listen on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...config import Config
from ...policy.endpoints import parse_endpoint
from ..endpoint import admin_endpoint
from .environment import Instruments
from .findings import Area, Finding, fine, warning
from .http_probe import Knocked, authority_of, door_of, knock

__all__ = ["Daemon", "find_daemon"]


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon, as it is seen from this machine.

    Arguments:
        doors: what came of a knock at each endpoint, but for those of which it cannot be told where they are.
        door: the same for the operator's.
    """

    doors: Mapping[str, Knocked] = field(default_factory=dict)
    door: Knocked | None = None

    @property
    def runs(self) -> bool:
        """Tell whether there is one."""
        operators = self.door is not None and self.door.status is not None
        return operators or any(knocked.is_crproxy for knocked in self.doors.values())

    @property
    def finding(self) -> Finding:
        """Say whether it runs."""
        if self.runs:
            return fine(Area.DAEMON, "crproxy", "is running")
        return warning(
            Area.DAEMON,
            "crproxy",
            "is not running",
            "Start it, such as by systemctl start crproxy; what only it can show is left out here",
        )


async def find_daemon(config: Config, instruments: Instruments) -> Daemon:
    """Knock wherever ``config`` says that it listens."""
    doors: dict[str, Knocked] = {}
    host = config.names.domain or "localhost"
    listed = [(one, "http") for one in config.listen.http] + [(one, "https") for one in config.listen.https]
    for description, scheme in listed:
        knocked = await _knock(description, scheme, host, "/v2/", instruments)
        if knocked is not None:
            doors[description] = knocked
    admin = admin_endpoint(config)
    return Daemon(doors, await _knock(admin, "http", "crproxy", "/aliases", instruments) if admin else None)


async def _knock(description: str, scheme: str, host: str, path: str, instruments: Instruments) -> Knocked | None:
    endpoint = parse_endpoint(description)
    secure = "https" if endpoint.kind == "ssl" else scheme
    door = door_of(endpoint, instruments.reactor)
    if door is None or endpoint.proxied:
        return None
    authority = authority_of(host, endpoint.port or {"http": 80, "https": 443}[secure], secure)
    return await knock(instruments.reactor, door, f"{secure}://{authority}{path}")
