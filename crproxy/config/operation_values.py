"""What the daemon was told of what people see of it: logs, pages, numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..policy.audit import Format
from ..policy.log_lines import LogFormat, LogLevel

__all__ = ["Admin", "Audit", "Log", "Metrics", "Page"]


@dataclass(frozen=True, slots=True)
class Audit:
    """Where there is a line for each request.

    Arguments:
        file: is added to; None is the daemon's own log.
        style: what a line in it looks like.
    """

    file: str | None = None
    style: Format = Format.JSON


@dataclass(frozen=True, slots=True)
class Log:
    """What the daemon's own log has, and what its lines look like.

    Arguments:
        level: of what matters least and is in it.
        style: text for people, or JSON.
    """

    level: LogLevel = LogLevel.INFO
    style: LogFormat = LogFormat.TEXT


@dataclass(frozen=True, slots=True)
class Page:
    """What people see in a browser.

    Arguments:
        redirect: the URL that they are sent to instead; None shows them the page.
        state: the page tells how this proxy is doing.
    """

    redirect: str | None = None
    state: bool = False


@dataclass(frozen=True, slots=True)
class Admin:
    """Where the operator's page is, besides ``/admin`` of the proxy itself.

    Arguments:
        listen: Twisted's endpoint string, which only this machine reaches; None is nowhere.
    """

    listen: str | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where monitoring may ask, besides the admin socket.

    Arguments:
        listen: Twisted's endpoint string; None is nowhere.
    """

    listen: str | None = None
