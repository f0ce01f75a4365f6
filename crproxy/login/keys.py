"""The key that tokens are signed and sealed with: a file that nobody else may read.

Daemons that share a data directory share it, and it outlives them: a token is good after a restart.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from twisted.logger import Logger

__all__ = ["KEY_BYTES", "load_key"]

KEY_BYTES = 64
_FILE = "login.key"
_log = Logger()


def load_key(data_dir: Path, otherwise: bytes) -> bytes:
    """Return the key that is kept in ``data_dir``, made at the first time.

    Where it can be neither read nor written it is ``otherwise``, which ends with the daemon, and the log says so.
    """
    path = data_dir / _FILE
    try:
        key = _read(path)
        if key is None:
            _write(path, secrets.token_bytes(KEY_BYTES))
            key = _read(path)
        if key is not None and len(key) == KEY_BYTES:
            return key
        why = f"it has not {KEY_BYTES} bytes: remove it, and another is made"
    except OSError as error:
        why = str(error)
    _log.error("the key of clients' tokens, {path}: {why}. Until then they end with the daemon", path=path, why=why)
    return otherwise


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, key: bytes) -> None:
    """Write the file, unless another process has, whole: a link takes the place of none that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
