"""The data directory: made when the daemon starts, or told why it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

from ..config import Config
from ..store.blobs import Blobs
from .starting import CannotStart

__all__ = ["files_of", "prepare_data_directory"]

_CACHE = "cache"


def prepare_data_directory(config: Config) -> Blobs:
    """Make the data directory, and return the files of the cache in it.

    Raises:
        CannotStart: it is not for this user, or cannot be a directory: nobody has meant that.
        OSError: it cannot be written, such as on a disk that is full or read-only: all can be passed on.
    """
    files, directory = files_of(config), Path(config.data_dir)
    try:
        files.prepare()
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        # A directory of another owner's whose mode cannot be changed may be written all the same.
        if os.access(directory / _CACHE, os.R_OK | os.W_OK | os.X_OK) and (directory / _CACHE).is_dir():
            raise
        user = os.geteuid()
        give = f"chown -R {user}" if os.access(directory, os.F_OK) else f"install -d -m 700 -o {user}"
        raise CannotStart(
            f"the data directory {directory} cannot be used by the user with the number {user}: {error.filename}: "
            f"{error.strerror}. Let that user have it ({give} {directory}), or name another with --data-dir"
        ) from error
    return files


def files_of(config: Config) -> Blobs:
    """Return the files of the cache, whether they can be used or not."""
    return Blobs(Path(config.data_dir) / _CACHE)
