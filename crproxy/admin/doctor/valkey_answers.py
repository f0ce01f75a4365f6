"""What Valkey's answers mean, and what to do about them: its refusals, what it says of itself, and its clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...policy.units import format_size
from .findings import Area, Finding, failed, fine, warning

__all__ = ["clock_finding", "info_findings", "parse_info", "refusal"]

# The oldest whose users have names (AUTH with two words), and whose scripts may write after they asked for the time.
_LEAST_VERSION = 6
# Of what it may have: from here on little is left.
_FULL = 0.9
# Seconds: nodes allow for it, but a log's lines do not, nor does a store that is asked with a signature.
_NOTICED = 30.0

_ANY = "See its log, and [fleet] in docs/configuration.md"
_REFUSALS = {
    "WRONGPASS": ("refuses the password", "Correct the password in valkey, or in valkey_password_file, under [fleet]"),
    "NOAUTH": ("asks for a password", "Write it in valkey_password_file under [fleet], or in the URL"),
    "READONLY": (
        "is a replica, which takes nothing that is written",
        "Name the primary in valkey under [fleet], or an address that always leads to it",
    ),
    "OOM": (
        "has no memory left for what is written",
        "Give it more (maxmemory), or a server of its own: a fleet needs some MiB",
    ),
    "MISCONF": (
        "takes nothing that is written, since it cannot write to its own disk",
        'Mend that, or let it keep nothing there (save ""): none of it is missed when it is gone',
    ),
    "LOADING": ("is still starting", "Wait until it has read what it had kept"),
    "CLUSTERDOWN": ("is a cluster that is down", "Use a single one: scripts touch several keys"),
    "MOVED": ("is a cluster", "Use a single one: scripts touch several keys"),
    "CROSSSLOT": ("is a cluster", "Use a single one: scripts touch several keys"),
    "DENIED": ("lets in only this machine's own (protected-mode)", "Give it a password, and bind it to an address"),
}


def refusal(text: str, prefix: str) -> tuple[str, str]:
    """Return what it means that Valkey answers ``text``, and what to do.

    Arguments:
        prefix: of the keys of this fleet.
    """
    kind = text.partition(" ")[0].lstrip("-")
    if kind in _REFUSALS:
        said, advice = _REFUSALS[kind]
        return f"{said}: {text}", advice
    if kind == "NOPERM":
        return (
            f"does not let its user do what it takes: {text}",
            f"Allow it ~{prefix}:* &{prefix}:* +@all (ACL SETUSER)",
        )
    if "without any password configured" in text:
        return "has no password, and is given one", "Remove it from [fleet], or set one there (requirepass)"
    if "invalid DB index" in text or "DB index is out of range" in text:
        return "has no such database", "Correct the number at the end of valkey under [fleet]; 0 is always there"
    return f"refuses what it is asked: {text}", _ANY


def parse_info(answer: bytes) -> dict[str, str]:
    """Return what INFO says, by name: lines of NAME:VALUE, and others for people."""
    lines = (line.partition(":") for line in answer.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


def info_findings(subject: str, info: Mapping[str, str]) -> Iterator[Finding]:
    """Give what matters of what it says of itself."""
    yield _version(subject, info)
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        yield failed(Area.FLEET, subject, *_REFUSALS["MOVED"])
    if info.get("role") == "slave":
        yield failed(Area.FLEET, subject, *_REFUSALS["READONLY"])
    yield _memory(subject, info)


def _version(subject: str, info: Mapping[str, str]) -> Finding:
    of_valkey, of_redis = info.get("valkey_version"), info.get("redis_version", "")
    said = f"is Valkey {of_valkey}" if of_valkey else f"is Redis {of_redis or 'of no known version'}"
    first = of_redis.partition(".")[0]
    if first.isdecimal() and int(first) < _LEAST_VERSION:
        return warning(Area.FLEET, subject, said, "Use a later one: this is older than Redis 6")
    return fine(Area.FLEET, subject, said)


def _memory(subject: str, info: Mapping[str, str]) -> Finding:
    used, most = (_number(info.get(name)) for name in ("used_memory", "maxmemory"))
    policy = info.get("maxmemory_policy", "noeviction")
    if not most:
        return fine(Area.FLEET, subject, f"uses {format_size(used)} of memory, and has no bound")
    said = f"uses {format_size(used)} of {format_size(most)} of memory"
    if policy != "noeviction":
        return warning(
            Area.FLEET,
            subject,
            f"{said}, and then drops keys ({policy}): leases among them, so that two nodes fetch the same",
            "Set maxmemory-policy noeviction, or give the fleet a server of its own",
        )
    if used >= _FULL * most:
        return warning(Area.FLEET, subject, f"{said}, and then takes nothing more", _REFUSALS["OOM"][1])
    return fine(Area.FLEET, subject, said)


def clock_finding(subject: str, behind: float) -> Finding:
    """Return how far its clock and this machine's are apart.

    Arguments:
        behind: seconds that this machine's is behind.
    """
    if abs(behind) < _NOTICED:
        return fine(Area.FLEET, f"{subject}: clock", f"and this machine's agree to {max(abs(behind), 0.01):.2f} s")
    said = f"is {abs(behind):.0f} s {'ahead of' if behind > 0 else 'behind'} this machine's"
    return warning(
        Area.FLEET,
        f"{subject}: clock",
        said,
        "Set the clock that is wrong, here or there; nodes go by Valkey's, but object stores and certificates do not",
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
