"""The daemon's own log, as the configuration says it."""

from __future__ import annotations

from collections.abc import Collection

from ..policy.log_lines import LogFormat, LogLevel
from .operation_values import Log
from .options import Options
from .table import OptionError, Table

__all__ = ["read_log"]


def read_log(table: Table, options: Options) -> Log:
    """Return what ``[log]`` says, and the options in its place. Raises ConfigError."""
    levels: dict[str, LogLevel] = {each.value: each for each in LogLevel}
    styles: dict[str, LogFormat] = {each.value: each for each in LogFormat}
    usual = Log()
    level = _chosen(table, "level", options.log_level, options.called("log-level"), levels)
    style = _chosen(table, "format", options.log_format, options.called("log-format"), styles)
    log = Log(levels[level or usual.level.value], styles[style or usual.style.value])
    table.refuse_the_rest()
    return log


def _chosen(table: Table, key: str, spoken: str | None, called: str, known: Collection[str]) -> str | None:
    written, choices = table.string(key), ", ".join(known)
    if written is not None and written not in known:
        table.fail(key, f"{written!r} is none of {choices}")
    if spoken is not None and spoken not in known:
        raise OptionError(f"{called} {spoken}: write one of {choices}")
    return written if spoken is None else spoken
