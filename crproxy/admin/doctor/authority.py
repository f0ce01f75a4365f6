"""Can the CA be asked that certificates come from?"""

from __future__ import annotations

import json

from twisted.web.iweb import IResponse

from ... import __version__
from ...config import Config
from ...upstream.agent import Clients, send
from ...upstream.connecting import Reach
from ...upstream.errors import TRANSPORT_ERRORS, describe, is_of_time
from ...upstream.relay import BodyBroke, BodyTooLarge, collect
from .clock import ClockReading
from .environment import SECONDS, ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped

__all__ = ["check_authority"]

_LIMIT = 1024 * 1024
_ADVICE = "See that this machine reaches it (firewall, https_proxy), and directory and ca_file under [acme]"


async def check_authority(config: Config, environment: ProbeEnvironment) -> tuple[list[Finding], ClockReading | None]:
    """Ask for the CA's directory (RFC 8555, 7.1.1); return how that went, and what time it has there."""
    directory = config.acme.directory
    if directory is None or not config.listen.https:
        return [skipped(Area.AUTHORITY, "CA", "none is asked")], None
    clock = environment.reactor
    http = Clients(clock, config.timeouts).reaching(Reach.of_ca(config))
    began = clock.seconds()
    try:
        response = await send(http, "GET", directory, {"User-Agent": [f"crproxy/{__version__}"]}, SECONDS, clock)
        body = await collect(response, _LIMIT, SECONDS, clock)
    except (*TRANSPORT_ERRORS, BodyBroke, BodyTooLarge) as error:
        depends_on = Area.CLOCK if is_of_time(error) else None
        text = f"cannot be asked: {describe(error)}"
        return [failed(Area.AUTHORITY, directory, text, _ADVICE, depends_on=depends_on)], None
    reading = ClockReading.of(directory, response, environment.now())
    return [_judge(directory, response, body, clock.seconds() - began)], reading


def _judge(directory: str, response: IResponse, body: bytes, seconds: float) -> Finding:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if response.code == 200 and isinstance(document, dict) and "newOrder" in document:
        return fine(Area.AUTHORITY, directory, f"answers in {seconds:.2f} s")
    return failed(Area.AUTHORITY, directory, f"answers {response.code}, and that is no CA's directory", _ADVICE)
