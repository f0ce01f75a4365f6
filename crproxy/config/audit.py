"""Where the audit log goes, as the configuration says it."""

from __future__ import annotations

from ..policy.audit import Format
from .table import Table
from .values import Audit

__all__ = ["read_audit"]


def read_audit(table: Table) -> Audit:
    """Return what ``[audit]`` says. Raises ConfigError."""
    file, name = table.string("file"), table.string("format")
    if file == "":
        table.fail("file", "this is no file: leave it out, and the lines go to the daemon's own log")
    if name is not None and file is None:
        table.fail("format", "it goes with a file: in the daemon's own log a line is always a combined one")
    styles = {style.value: style for style in Format}
    if name is not None and name not in styles:
        table.fail("format", f"{name!r} is neither {' nor '.join(styles)}")
    table.refuse_the_rest()
    return Audit(file, Format.JSON if name is None else styles[name])
