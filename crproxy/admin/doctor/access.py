"""Is it open to everybody, and do passwords travel in the clear?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...config import Config, Upstream
from ...policy.endpoints import parse_endpoint
from ...policy.urls import origin_of
from .findings import Area, Finding, fine, warning

__all__ = ["check_access"]


def check_access(config: Config) -> list[Finding]:
    """Return what the configuration lets happen that its owner may not have meant."""
    endpoints = (endpoint for upstream in config.upstreams.values() for endpoint in upstream.endpoints)
    return [_openness(config), *_passwords(endpoints)]


def _openness(config: Config) -> Finding:
    outward = [one for one, _ in config.client_endpoints if not parse_endpoint(one).is_local]
    if config.clients.users is not None:
        return fine(Area.ACCESS, "clients", f"log in, {len(config.clients.users)} users are known")
    if not outward:
        return fine(Area.ACCESS, "clients", "only this machine reaches it")
    if config.access.registries is not None or config.access.allow:
        return fine(Area.ACCESS, "clients", "whoever reaches it may pull what [access] allows, and nothing else")
    keyed = sorted(str(one.registry) for one in config.upstreams.values() if one.credential)
    more = f", also with the passwords configured for {', '.join(keyed)}" if keyed else ""
    return warning(
        Area.ACCESS,
        ", ".join(outward),
        f"open to everybody: whoever reaches it may pull any image{more}",
        "Ask for a login (htpasswd under [clients]), or say under [access] what may be pulled, or let a firewall "
        "admit only those whom you know",
    )


def _passwords(upstreams: Iterable[Upstream]) -> Iterator[Finding]:
    for upstream in upstreams:
        if upstream.username is not None and upstream.endpoint.startswith("http://") and not _stays_here(upstream):
            yield warning(
                Area.ACCESS,
                upstream.endpoint,
                f"the password of {upstream.username!r} is sent to {upstream.registry} in the clear",
                "Let that registry be reached by https://, with ca_file if its authority is your own",
            )


def _stays_here(upstream: Upstream) -> bool:
    origin = origin_of(upstream.endpoint)
    return origin is not None and parse_endpoint(f"tcp:0:{origin.host}").is_local
