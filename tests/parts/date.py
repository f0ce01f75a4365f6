"""The date as a daemon sees it, which a test sets."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Date"]

# Before Twisted is there, which takes time.time once: the file says how many seconds the date is ahead.
_SITE = """
import os, time
real = time.time
def set_time():
    try:
        with open(os.environ["CRPROXY_TEST_AHEAD"]) as file:
            return real() + float(file.read() or 0)
    except FileNotFoundError:
        return real()
time.time = set_time
"""


class Date:
    """What a daemon with this ``environment`` takes for the date: the real one, until it is set.

    Arguments:
        directory: for its files.
    """

    def __init__(self, directory: Path) -> None:
        site = directory / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_SITE)
        self._ahead = directory / "ahead"
        self.environment = {"PYTHONPATH": str(site), "CRPROXY_TEST_AHEAD": str(self._ahead)}

    def set(self, seconds: int) -> None:
        """Have it be so many seconds ahead of the real one."""
        written = self._ahead.with_suffix(".next")
        written.write_text(str(seconds))
        # At once: the daemon reads it at any moment.
        written.replace(self._ahead)
