from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.admin.doctor.findings import Finding
from crproxy.admin.doctor.identity import User, find_user, hindrance, user_of
from crproxy.admin.doctor.readable import check_readable
from crproxy.config import Config

STRANGER = User(54321, frozenset({54321}), "crproxy", runs=True)
STATUS = """\
Name:\ttwistd
Uid:\t998\t998\t998\t998
Gid:\t997\t997\t997\t997
Groups:\t997 33
CapEff:\t0000000000000400
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may pass, as those above it, which a test's usual one is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def file_of(directory: Path, mode: int) -> Path:
    file = directory / "password"
    file.write_text("secret")
    file.chmod(mode)
    return file


def of_us(**changes: object) -> User:
    """A user who shares some of who we are."""
    values = {"uid": 54321, "groups": frozenset({54321}), "name": "crproxy", **changes}
    return User(**values)  # type: ignore[arg-type]  # of several kinds


@pytest.mark.parametrize(
    ("mode", "owner", "group", "may"),
    [
        (0o644, False, False, True),
        (0o640, False, False, False),
        (0o640, False, True, True),
        (0o604, False, True, False),
        (0o600, True, False, True),
        (0o044, True, True, False),
    ],
)
def test_a_mode_counts_for_the_owner_the_group_or_everybody(
    place: Path, mode: int, owner: bool, group: bool, may: bool
) -> None:
    file = file_of(place, mode)
    state = file.stat()
    user = of_us(
        uid=state.st_uid if owner else 54321, groups=frozenset({state.st_gid}) if group else frozenset({54321})
    )
    assert hindrance(file, user) == (None if may else file)


def told(file: Path, user: User | None) -> Finding:
    (found,) = check_readable([str(file)], user)
    return found


def test_a_file_that_only_root_may_read_is_told(place: Path) -> None:
    file = file_of(place, 0o600)
    found = told(file, STRANGER)
    assert (found.subject, found.outcome.value) == (str(file), "failed")
    assert found.text == "can be read by root, and not by crproxy, whom crproxy runs as"


def test_a_directory_that_lets_nobody_through_is_named(place: Path) -> None:
    inside = place / "inside"
    inside.mkdir()
    file = file_of(inside, 0o644)
    inside.chmod(0o700)
    assert f": {inside} lets nobody through" in told(file, STRANGER).text


def test_where_it_does_not_run_it_is_a_warning(place: Path) -> None:
    found = told(file_of(place, 0o600), User(54321, frozenset(), "crproxy"))
    assert found.outcome.value == "warning"
    assert "whom the data directory belongs to" in found.text


def test_what_may_be_read_or_is_gone_is_no_finding(place: Path) -> None:
    file = file_of(place, 0o644)
    assert check_readable([str(file), str(place / "gone")], STRANGER) == []
    assert check_readable([str(file)], None) == []


def test_whom_a_process_runs_as() -> None:
    user = user_of(STATUS)
    assert user is not None
    assert (user.uid, user.groups, user.runs) == (998, frozenset({997, 33}), True)
    # Modes count for nothing to root.
    assert user_of(STATUS.replace("400", "002")) is None
    with pytest.raises(KeyError):
        user_of("Name:\tx")


def test_without_a_daemon_the_owner_of_the_data_counts(place: Path) -> None:
    user = find_user(Config(data_dir=str(place)))
    assert (user is None) == (os.geteuid() == 0)
    assert find_user(Config(data_dir=str(place / "nothing"))) is None
