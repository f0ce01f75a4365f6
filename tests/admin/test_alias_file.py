from __future__ import annotations

import os
from pathlib import Path

import pytest

from crproxy.admin.alias_file import AliasChange, Source, keep_alias, rewrite
from crproxy.config import Config, ConfigError
from crproxy.config.naming import with_alias
from tests.configs import loaded

TEXT = '# ours\ndomain = "cr.test"\n\n[aliases]\nteam = "quay.io"  # theirs\n'
CORP = f'{TEXT}corp = "ghcr.io"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "crproxy.toml"
    file.write_text(TEXT)
    return file


def kept(file: Path | None, label: str, registry: str, **options: object) -> AliasChange:
    def parse(text: str) -> Config:
        return loaded(text, **options)

    config = parse(TEXT)
    counts = Config(names=with_alias(config.names, label, registry))
    return keep_alias(Source(file, parse), label, registry, counts)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_alias_is_written(file: Path) -> None:
    change = kept(file, "corp", "ghcr.io")
    assert change == AliasChange("corp", "corp.cr.test", "ghcr.io", "cr.test", True, str(file))
    assert file.read_text() == CORP
    assert left(file.parent) == ["crproxy.toml"]


def test_one_that_is_there_already_needs_no_writing(file: Path) -> None:
    file.write_text(CORP)
    before = file.stat()
    assert kept(file, "corp", "ghcr.io").kept
    after = file.stat()
    # To read it may set its access time.
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


def test_mode_owner_and_a_link_stay(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1, 2)
    before = file.stat()
    link = tmp_path / "link.toml"
    link.symlink_to(file.name)
    assert kept(link, "corp", "ghcr.io").kept
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert link.is_symlink()
    assert link.read_text() == CORP


def test_attributes_stay(file: Path) -> None:
    try:
        os.setxattr(file, "user.origin", b"hand")
    except OSError:
        pytest.skip("this file system has no attributes")
    rewrite(file, lambda text: text + "# more\n")
    assert os.getxattr(file, "user.origin") == b"hand"


def test_without_a_file_nothing_is_kept() -> None:
    change = kept(None, "corp", "ghcr.io")
    assert (change.kept, change.file, change.sha256) == (False, None, None)
    assert change.why == "the daemon was started without a configuration file"


def test_what_the_command_line_says_wins(file: Path) -> None:
    change = kept(file, "corp", "ghcr.io", aliases=("corp=quay.io",))
    assert (change.kept, change.sha256) == (False, None)
    assert "(--alias) says otherwise" in (change.why or "")
    assert file.read_text() == TEXT


@pytest.mark.parametrize("text", ["domain = \n", f"{TEXT}bad_gateway = 1\n", 'domain = "other.test"\n'])
def test_a_file_that_is_wrong_or_another_by_now_is_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    change = kept(file, "corp", "ghcr.io")
    assert not change.kept
    assert change.why
    assert file.read_text() == text


def test_a_disk_that_fails_loses_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    change = kept(file, "corp", "ghcr.io")
    assert (change.kept, change.why) == (False, "the daemon cannot write it: No space left on device")
    assert file.read_text() == TEXT
    assert left(file.parent) == ["crproxy.toml"]
    monkeypatch.undo()
    # Somebody else may: the command, which is told what it must find.
    rewrite(file, lambda text: f"{text}# more\n", change.sha256)
    with pytest.raises(ConfigError, match="not the file that the daemon reads"):
        rewrite(file, lambda text: f"{text}# more\n", change.sha256)
    assert file.read_text() == f"{TEXT}# more\n"


def test_somebody_who_writes_at_the_same_time_wins(file: Path) -> None:
    def edit(text: str) -> str:
        file.write_text(f"{text}# theirs\n")
        return f"{text}# ours\n"

    with pytest.raises(ConfigError, match="changed by somebody else"):
        rewrite(file, edit)
    assert file.read_text() == f"{TEXT}# theirs\n"
    assert left(file.parent) == ["crproxy.toml"]


def test_a_file_that_is_gone_or_no_text_is_told(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    assert "cannot write it: 'utf-8' codec" in (kept(file, "corp", "ghcr.io").why or "")
    file.unlink()
    assert kept(file, "corp", "ghcr.io").why == "the daemon cannot write it: No such file or directory"


def test_what_a_daemon_of_another_age_answers_is_understood() -> None:
    change = kept(None, "corp", "ghcr.io")
    assert AliasChange.of({**change.document(), "new": 3}) == change
    older = AliasChange.of({"alias": "corp", "registry": "ghcr.io"})
    assert (older.host, older.registry, older.kept) == ("corp", "ghcr.io", False)
    assert "older" in (older.why or "")


def test_what_to_write_by_hand() -> None:
    assert kept(None, "corp", "ghcr.io").lines == '[aliases]\ncorp = "ghcr.io"'
    assert kept(None, "quay", "").lines == '[aliases]\nquay = ""'
