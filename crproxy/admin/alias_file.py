"""An alias, written back into the file that the configuration is read from.

By the daemon, or by the command where only that may. What becomes of the text is decided in crproxy/config/editing.py.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..config import Config, ConfigError
from ..config.editing import alias_lines, with_alias_line
from ..config.naming import alias_host

__all__ = ["AliasChange", "Source", "keep_alias", "rewrite"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from.

    Arguments:
        path: the file; None where there is none.
        parse: returns what its text and the command line say together; raises ConfigError.
        options: what the command line and the environment say, as words of a command line.
    """

    path: Path | None
    parse: Callable[[str], Config]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AliasChange:
    """What became of an alias that was added (``registry``), or removed (None). It counts from now on.

    Arguments:
        host: the name that it is for.
        domain: the one that counts.
        kept: it will still be so when the configuration is read again.
        file: where that is read from; None where there is no such file.
        why: the reason why it is not kept.
        sha256: of the text that could not be replaced, so that somebody else may; None where that would not help.
    """

    alias: str
    host: str
    registry: str | None
    domain: str | None
    kept: bool
    file: str | None = None
    why: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AliasChange:
        """Return what a daemon has answered, which may know more than we do, or less."""
        known: dict[str, Any] = {field.name: document.get(field.name) for field in fields(cls)}
        if "kept" not in document:
            known |= {"kept": False, "why": "the daemon is older than this command, and writes nothing down"}
            known["host"] = document["alias"]
        return cls(**known)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    def but(self, **changes: Any) -> AliasChange:
        """Return it with something else in it."""
        return replace(self, **changes)

    @property
    def lines(self) -> str:
        """What to write into the file by hand."""
        return alias_lines(self.alias, self.registry or "")


def keep_alias(source: Source, label: str, registry: str, config: Config) -> AliasChange:
    """Write an alias into the configuration's file, or with ``registry`` "" take it out.

    Arguments:
        config: what counts now, the alias included.
    """
    host, domain = alias_host(label, config.names.domain), config.names.domain
    file = None if source.path is None else str(source.path)
    seen: list[str] = []

    def edit(text: str) -> str:
        seen.append(text)
        edited = with_alias_line(text, label, registry, domain)
        if source.parse(edited).names.aliases.get(host) != config.names.aliases.get(host):
            raise ConfigError("the command line that the daemon was started with (--alias) says otherwise, and wins")
        return edited

    def changed(why: str | None, sha256: str | None = None) -> AliasChange:
        return AliasChange(label, host, registry or None, domain, why is None, file, why, sha256)

    if source.path is None:
        return changed("the daemon was started without a configuration file")
    try:
        rewrite(source.path, edit)
    except ConfigError as error:
        return changed(str(error))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return changed(f"the daemon cannot write it: {why}", _sha256(seen[0]) if seen else None)
    return changed(None)


def rewrite(path: Path, edit: Callable[[str], str], sha256: str | None = None) -> None:
    """Put ``edit`` of its text in the place of a file's, all at once; mode, owner and attributes stay.

    Arguments:
        edit: may raise, and then nothing changes.
        sha256: of the text that it must have.

    Raises:
        OSError: it cannot be read or written; nothing has changed.
        ConfigError: it has another text.
        UnicodeDecodeError: it is no text.
    """
    # A link stays one.
    path = path.resolve(strict=True)
    content = path.read_bytes()
    text = content.decode()
    if sha256 not in (None, _sha256(text)):
        raise ConfigError("it is not the file that the daemon reads, or has changed since")
    edited = edit(text)
    if edited != text:
        _replace(path, content, edited.encode())


def _replace(path: Path, before: bytes, content: bytes) -> None:
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            _take_after(path, fd)
            file.write(content)
            file.flush()
            os.fsync(fd)
        if path.read_bytes() != before:
            raise ConfigError("it was changed by somebody else at the same time: try again")
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def _take_after(path: Path, fd: int) -> None:
    """Give the file ``fd`` the owner, mode and attributes (access lists among them) of the one at ``path``."""
    state, ours = path.stat(), os.fstat(fd)
    if (ours.st_uid, ours.st_gid) != (state.st_uid, state.st_gid):
        os.fchown(fd, state.st_uid, state.st_gid)
    os.fchmod(fd, state.st_mode & 0o7777)
    try:
        there, wanted = set(os.listxattr(fd)), os.listxattr(path)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return
    for name in wanted:
        value = os.getxattr(path, name)
        # A label of the security module's is there already, and may not be set.
        if name not in there or os.getxattr(fd, name) != value:
            os.setxattr(fd, name, value)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
