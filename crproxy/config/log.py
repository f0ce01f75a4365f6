"""The daemon's own log, as the configuration says it."""

from __future__ import annotations

from collections.abc import Collection

from ..policy.log_lines import LogFormat, LogLevel
from .table import OptionError, Table
from .values import Log

__all__ = ["read_log"]


def read_log(table: Table, level: str | None, style: str | None) -> Log:
    """Return what ``[log]`` says, and the options in its place. Raises ConfigError.

    Arguments:
        level, style: what ``--log-level`` and ``--log-format`` say; None is nothing.
    """
    levels: dict[str, LogLevel] = {each.value: each for each in LogLevel}
    styles: dict[str, LogFormat] = {each.value: each for each in LogFormat}
    usual = Log()
    log = Log(
        levels[_chosen(table, "level", level, levels) or usual.level.value],
        styles[_chosen(table, "format", style, styles) or usual.style.value],
    )
    table.refuse_the_rest()
    return log


def _chosen(table: Table, key: str, spoken: str | None, known: Collection[str]) -> str | None:
    written, choices = table.string(key), ", ".join(known)
    if written is not None and written not in known:
        table.fail(key, f"{written!r} is none of {choices}")
    if spoken is not None and spoken not in known:
        raise OptionError(f"--log-{key} {spoken}: write one of {choices}")
    return written if spoken is None else spoken
