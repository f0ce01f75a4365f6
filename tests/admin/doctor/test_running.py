from __future__ import annotations

from twisted.python.failure import Failure

from crproxy.admin.doctor.findings import Area
from crproxy.admin.doctor.running import stumbled


def test_what_nobody_foresaw_is_a_finding() -> None:
    try:
        raise KeyError("quay.io")
    except KeyError:
        found = stumbled(Failure())
    assert (found.area, found.outcome.value) == (Area.DOCTOR, "failed")
    assert "could not be looked at: KeyError: 'quay.io' (test_running.py, line " in found.text
    assert "please report it" in found.advice


def test_an_error_that_was_never_raised_has_no_line() -> None:
    assert stumbled(Failure(ValueError("no"))).text == "could not be looked at: ValueError: no"
