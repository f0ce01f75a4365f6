"""One run of the doctor: reads, looks, prints, and says how it ends."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from ...config import Config, Options
from ...oci.names import Registry
from .checks import Report, run_checks
from .configuration import Reading, read
from .environment import ProbeEnvironment, resolver
from .findings import Area, Finding, failed
from .report import Printed, exit_status, to_json

__all__ = ["run", "stumbled"]


def run(
    path: str | None, options: Options, system: Path, named: tuple[Registry, ...], *, strict: bool, json: bool
) -> int:
    """Look at everything, print what was found, and return the exit status.

    Arguments:
        path: the configuration; None is ``system``, if it is there.
        named: the registries to look at, in place of those that the configuration knows.
        json: one document is printed at the end, in place of lines.
    """
    findings: list[Finding] = []
    printed = None if json else Printed(Console())

    def report(found: Iterable[Finding]) -> None:
        new = list(found)
        findings.extend(new)
        if printed is not None:
            printed.add(new)

    reading = read(path, options, system)
    report(reading.findings)
    if reading.config is not None:
        _look(reading.config, reading, named, report)
    if printed is not None:
        printed.end()
    else:
        click.echo(to_json(findings))
    return exit_status(findings, strict=strict)


def stumbled(failure: Failure) -> Finding:
    """Return what is said where something failed that nobody foresaw: what was found before stays."""
    *_, last = traceback.extract_tb(failure.getTracebackObject()) or [None]
    where = "" if last is None else f" ({Path(last.filename).name}, line {last.lineno})"
    return failed(
        Area.DOCTOR,
        "what follows",
        f"could not be looked at: {type(failure.value).__name__}: {failure.getErrorMessage()}{where}",
        "This is a mistake in crproxy: please report it, with this line",
    )


def _look(config: Config, reading: Reading, named: tuple[Registry, ...], report: Report) -> None:
    """Run a reactor for one round. react takes the global one by itself, and ends by SystemExit."""

    def look(reactor: Any) -> Deferred[None]:
        environment = ProbeEnvironment(reactor, resolver(reactor))
        looking = Deferred.fromCoroutine(run_checks(config, reading, named, environment, report))
        return looking.addErrback(lambda failure: report([stumbled(failure)]))

    try:
        react(look)
    except SystemExit as ended:
        if ended.code:
            raise
