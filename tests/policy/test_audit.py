from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.audit import CacheState, Ending, Format, Record, Repeated, cache_state, fields, write_line
from crproxy.pullthrough.reply import CacheStatus

RECORD = Record(
    moment=1763805600.25,
    site="registry",
    client="192.0.2.7",
    user="alice",
    method="GET",
    target="/v2/quay.io/org/app/manifests/v1?ns=quay.io",
    protocol="HTTP/1.1",
    host="cr.example.com",
    agent="containerd/2.1",
    registry="quay.io",
    repository="org/app",
    reference="v1",
    status=200,
    sent=528,
    seconds=0.01234,
    cache=CacheState.HIT,
    ending=Ending.WHOLE,
    request="k2m4x7abcdef",
)
NOTHING = replace(
    RECORD,
    client=None,
    user=None,
    host=None,
    agent=None,
    registry=None,
    repository=None,
    reference=None,
    status=None,
    cache=None,
    ending=Ending.LEFT,
    request=None,
)

# What tools split a combined line by, as goaccess and awk do.
COMBINED = re.compile(
    r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+) "-" '
    r'"((?:[^"\\]|\\.)*)" (site=\S+ host=\S+ registry=\S+ repository=\S+ reference=\S+ seconds=\S+ cache=\S+ '
    r"ending=\S+ request=\S+)"
)


def test_a_json_line_has_every_field() -> None:
    assert json.loads(write_line(RECORD, Format.JSON)) == {
        "time": "2025-11-22T10:00:00.250Z",
        "site": "registry",
        "client": "192.0.2.7",
        "user": "alice",
        "method": "GET",
        "host": "cr.example.com",
        "path": "/v2/quay.io/org/app/manifests/v1?ns=quay.io",
        "registry": "quay.io",
        "repository": "org/app",
        "reference": "v1",
        "status": 200,
        "bytes": 528,
        "seconds": 0.012,
        "cache": "hit",
        "ending": "whole",
        "agent": "containerd/2.1",
        "request": "k2m4x7abcdef",
    }


def test_what_is_not_known_is_null_in_json() -> None:
    line = json.loads(write_line(NOTHING, Format.JSON))
    assert {name for name, value in line.items() if value is None} == {
        *("client", "user", "host", "agent", "registry", "repository", "reference", "status", "cache", "request")
    }


def test_a_combined_line_is_apaches_with_more_behind_it() -> None:
    assert write_line(RECORD, Format.COMBINED) == (
        '192.0.2.7 - alice [22/Nov/2025:10:00:00 +0000] "GET /v2/quay.io/org/app/manifests/v1?ns=quay.io HTTP/1.1" '
        '200 528 "-" "containerd/2.1" site=registry host=cr.example.com registry=quay.io repository=org/app '
        "reference=v1 seconds=0.012 cache=hit ending=whole request=k2m4x7abcdef"
    )


def test_what_is_not_known_is_a_dash_in_a_combined_line() -> None:
    assert write_line(NOTHING, Format.COMBINED) == (
        '- - - [22/Nov/2025:10:00:00 +0000] "GET /v2/quay.io/org/app/manifests/v1?ns=quay.io HTTP/1.1" '
        '- 528 "-" "-" site=registry host=- registry=- repository=- reference=- seconds=0.012 cache=- ending=left '
        "request=-"
    )


@given(
    style=st.sampled_from(Format), user=st.text(), target=st.text(), host=st.text(), agent=st.text(), method=st.text()
)
def test_s26_no_line_can_be_forged(style: Format, user: str, target: str, host: str, agent: str, method: str) -> None:
    record = replace(RECORD, user=user, target=target, host=host, agent=agent, method=method)
    line = write_line(record, style)
    assert all(" " <= character <= "~" for character in line)
    if style is Format.JSON:
        assert (json.loads(line)["status"], json.loads(line)["client"]) == (200, "192.0.2.7")
    else:
        match = COMBINED.fullmatch(line)
        assert match is not None, line
        assert (match[1], match[5], match[6]) == ("192.0.2.7", "200", "528")
        assert match[8].endswith("cache=hit ending=whole request=k2m4x7abcdef")


@pytest.mark.parametrize("style", Format)
def test_s26_a_forged_line_stays_inside_of_its_own(style: Format) -> None:
    forged = '"\n192.0.2.9 - root [22/Nov/2025:10:00:00 +0000] "GET /'
    line = write_line(replace(RECORD, agent=forged, user=forged, host=forged, target=forged), style)
    assert len(line.splitlines()) == 1
    assert line.count("192.0.2.9") == 4


@pytest.mark.parametrize("style", Format)
@pytest.mark.parametrize("name", ["target", "host", "agent", "user", "method"])
def test_s26_a_secret_is_in_no_field(style: Format, name: str) -> None:
    for secret in ("http://me:hunter2@cr.test/", "Bearer hunter2", "/x?token=hunter2", "Authorization: Basic hunter2"):
        fields: dict[str, Any] = {name: secret}
        assert "hunter2" not in write_line(replace(RECORD, **fields), style)


@pytest.mark.parametrize("style", Format)
def test_a_line_has_a_length_that_people_can_read(style: Format) -> None:
    line = write_line(replace(RECORD, target="/" + "\x80" * 16384, agent="x" * 16384, host="y" * 16384), style)
    assert len(line) < 16384


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (CacheStatus.HIT, CacheState.HIT),
        (CacheStatus.MISS, CacheState.MISS),
        (CacheStatus.STORED, CacheState.STORED),
        (CacheStatus.COLLAPSED, CacheState.COLLAPSED),
        (CacheStatus.SHARED, CacheState.COLLAPSED),
        (CacheStatus.REVALIDATED, CacheState.REVALIDATED),
        (CacheStatus.STALE, CacheState.STALE),
        (CacheStatus.SPARED, CacheState.SPARED),
        (None, None),
    ],
)
def test_every_cache_status_of_ours_is_a_state(status: str | None, state: CacheState | None) -> None:
    assert cache_state(status) is state


def test_no_cache_status_of_ours_is_left_out() -> None:
    ours = [value for name, value in vars(CacheStatus).items() if name.isupper()]
    assert {cache_state(status) for status in ours} == set(CacheState)
    # What is shared is collapsed, whether or not it is kept; who is sent elsewhere had a hit or a miss here.
    assert len(ours) == len(CacheState) + 3


# What comes again

RECORDS = st.builds(
    Record,
    moment=st.floats(0, 4e9),
    site=st.just("registry"),
    client=st.sampled_from([None, "192.0.2.7", "2001:db8::1"]),
    user=st.none() | st.text(max_size=8),
    method=st.sampled_from(["GET", "HEAD"]),
    target=st.text(max_size=20),
    protocol=st.just("HTTP/1.1"),
    host=st.none() | st.text(max_size=8),
    agent=st.none() | st.text(max_size=20),
    registry=st.none() | st.just("quay.io"),
    repository=st.none() | st.just("org/app"),
    reference=st.none() | st.just("v1"),
    status=st.just(200),
    sent=st.integers(0, 1000),
    seconds=st.just(0.0),
    cache=st.none() | st.sampled_from(CacheState),
    ending=st.just(Ending.WHOLE),
)


@given(RECORDS, st.floats(0, 4e9), st.sampled_from([None, "198.51.100.1", "2001:db8::2"]))
def test_what_comes_again_has_the_line_that_it_would_have(record: Record, moment: float, client: str | None) -> None:
    repeated, expected = Repeated(record), replace(record, moment=moment, client=client)
    assert repeated.fields(moment, client) == fields(expected)
    assert repeated.line(Format.COMBINED, moment, client) == write_line(expected, Format.COMBINED)
    assert json.loads(repeated.line(Format.JSON, moment, client)) == json.loads(write_line(expected, Format.JSON))


def test_what_comes_again_took_no_time() -> None:
    assert Repeated(RECORD).fields(0, None)["seconds"] == 0
