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
