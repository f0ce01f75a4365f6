"""Podman as a client that pulls of a layer only what it has not (containers-storage.conf, enable_partial_images)."""

from __future__ import annotations

from pathlib import Path

from .images import file_digest
from .program import Failed, Program
from .requirements import missing, need, need_root

__all__ = ["PartialPodman"]

# Of the drivers, overlay alone can (containers/storage, DriverWithDiffer).
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{root}"
runroot = "{run}"
[storage.options]
pull_options = {{enable_partial_images = "{partial}", use_hard_links = "false", ostree_repos = ""}}
[storage.options.overlay]
skip_mount_home = "true"
"""


class PartialPodman:
    """Podman, with storage of its own.

    Arguments:
        directory: for all that it writes. Its path must be short: podman refuses a runroot of more than 50 characters.
        partial: whether it may pull in parts.
    """

    def __init__(self, directory: Path, *, partial: bool = True) -> None:
        need_root("podman's overlay storage")
        config = directory / "storage.conf"
        settings = {"root": directory / "root", "run": directory / "run", "partial": str(partial).lower()}
        config.write_text(_STORAGE.format(**settings))
        command = [need("podman"), f"--tmpdir={directory / 'tmp'}"]
        self._program = Program(command, directory, CONTAINERS_STORAGE_CONF=str(config))
        try:
            self._program.run("info")
        except Failed as error:
            missing(f"podman's overlay storage does not work here: {error}")

    def pull(self, image: str) -> str:
        """Pull an image; return its id."""
        (identity,) = self._program.words("pull", "--quiet", "--tls-verify=false", image)
        return identity

    def files(self, identity: str) -> dict[str, str]:
        """Return the digest of each file in an image."""
        (mounted,) = self._program.words("image", "mount", identity)
        try:
            return {file.name: file_digest(file) for file in Path(mounted).iterdir() if file.is_file()}
        finally:
            self._program.run("image", "unmount", identity)
