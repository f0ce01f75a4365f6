from __future__ import annotations

import io
import json

from rich.console import Console

from crproxy.admin.doctor.findings import Area, Finding, failed, fine, skipped
from crproxy.admin.doctor.report import Printed, to_json

FAILURE = failed(Area.DNS, "quay.cr.test", "leads to [red]192.0.2.7[/red], " + "x" * 200, "Correct its record")


def printed(*findings: Finding) -> list[str]:
    stream = io.StringIO()
    lines = Printed(Console(file=stream, width=40))
    lines.add(findings)
    lines.end()
    return stream.getvalue().splitlines()


def test_each_finding_is_one_line_however_long_and_what_to_do_another() -> None:
    lines = printed(fine(Area.DISK, "/data", "is there"), FAILURE)
    assert lines[0] == "ok       disk: /data: is there"
    assert lines[1] == f"failed   dns: quay.cr.test: {FAILURE.text}"
    assert lines[2] == "         -> Correct its record"


def test_the_last_lines_say_where_to_begin() -> None:
    lines = printed(fine(Area.DISK, "/data", ""), FAILURE, skipped(Area.PORTS, "x", "y"))
    assert lines[-3] == "1 ok, 1 skipped, 1 failed. Begin with this:"
    assert lines[-2].startswith("failed   dns: quay.cr.test")


def test_one_cause_is_one_line_and_counted_once() -> None:
    names = [f"{label}.cr.test" for label in ("docker", "ghcr", "mcr", "nvcr", "quay")]
    lines = printed(*(failed(Area.DNS, name, "cannot be resolved", "Give them records") for name in names))
    assert lines[0] == "failed   dns: docker.cr.test, ghcr.cr.test, mcr.cr.test and 2 more: cannot be resolved"
    assert lines[-3:] == ["1 failed. Begin with this:", *lines[:2]]


def test_programs_get_each_name() -> None:
    names = ["docker.cr.test", "quay.cr.test"]
    document = json.loads(to_json([failed(Area.DNS, name, "cannot be resolved", "") for name in names]))
    assert [found["subject"] for found in document["findings"]] == names


def test_where_all_is_well_that_is_said() -> None:
    assert printed(fine(Area.DISK, "/data", ""))[-1] == "All is well: 1 ok."


def test_programs_get_one_document() -> None:
    document = json.loads(to_json([fine(Area.DISK, "/data", "is there"), FAILURE]))
    assert document["status"] == "failed"
    assert document["first_cause"] == document["findings"][1]
    assert document["findings"][0] == {
        "area": "disk",
        "subject": "/data",
        "outcome": "ok",
        "text": "is there",
        "advice": "",
    }
    assert json.loads(to_json([])) == {"status": "ok", "first_cause": None, "findings": []}
