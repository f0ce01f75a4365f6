from __future__ import annotations

from pathlib import Path

import pytest

from crproxy.admin.doctor.configuration import Reading, read
from crproxy.admin.doctor.findings import Area
from crproxy.config import Options


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "crproxy.toml"


def reading(file: Path, text: str, **options: str) -> Reading:
    file.write_text(text)
    return read(str(file), Options(**options), file)  # type: ignore[arg-type]  # all of them are texts here


def test_a_file_that_parses_is_used(file: Path) -> None:
    found = reading(file, 'domain = "cr.test"')
    assert found.config is not None
    assert found.config.names.domain == "cr.test"
    assert [one.outcome.value for one in found.findings] == ["ok"]


def test_the_systems_file_is_used_if_it_is_there(file: Path) -> None:
    assert "there is no file" in read(None, Options(), file).findings[0].text
    file.write_text('domain = "cr.test"')
    config = read(None, Options(), file).config
    assert config is not None
    assert config.names.domain == "cr.test"


def test_a_mistake_is_told_with_its_line(file: Path) -> None:
    found = reading(file, "\ndomian = 1")
    assert found.config is None
    (failed,) = found.findings
    assert (failed.area, failed.subject) == (Area.CONFIGURATION, str(file))
    assert "line 2: domian" in failed.text


def test_a_mistake_on_the_command_line_is_told_as_that(file: Path) -> None:
    (failed,) = reading(file, "", cache_size="big").findings
    assert failed.subject == "command line"


def test_files_that_are_named_are_read(file: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    text = f'[upstreams."quay.io"]\nusername = "me"\npassword_file = "{password}"'
    (missing,) = reading(file, text).findings
    assert (missing.area, missing.outcome.value) == (Area.CONFIGURATION, "failed")
    password.write_text("secret")
    found = reading(file, text).findings
    assert [(one.area, one.subject) for one in found] == [
        (Area.CONFIGURATION, str(file)),
        (Area.PERMISSIONS, str(password)),
    ]
    assert "secret" not in str(found)


FLEET = """
[fleet]
valkey = "redis://valkey.test"
advertise = "https://10.0.0.5:5443"
secret_file = "{secret}"
[storage]
url = "s3://bucket"
access_key_id = "somebody"
secret_access_key_file = "{key}"
"""


@pytest.mark.parametrize(
    ("mode", "outcome", "said"),
    [
        (0o600, "ok", "is nobody else's (mode 600)"),
        (0o640, "ok", "is nobody else's (mode 640)"),
        (0o644, "warning", "every user of this machine may read it"),
        (0o602, "warning", "every user of this machine may write it"),
        (0o660, "warning", "its group may write it"),
    ],
)
def test_secrets_of_a_fleet_are_nobody_elses(file: Path, tmp_path: Path, mode: int, outcome: str, said: str) -> None:
    secret, key = tmp_path / "secret", tmp_path / "key"
    for each in (secret, key):
        each.write_text("0123456789abcdef" * 4)
        each.chmod(mode)
    found = reading(file, FLEET.format(secret=secret, key=key))
    assert found.config is not None
    of_secrets = [one for one in found.findings if "mode" in one.text]
    assert [one.subject for one in of_secrets] == [str(secret), str(key)]
    for one in of_secrets:
        assert one.area is Area.PERMISSIONS
        assert one.outcome.value == outcome
        assert one.text.startswith(said)
        assert "0123" not in one.text + one.advice
