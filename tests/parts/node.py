"""Where a program runs: with names that only it can resolve, and an authority that only it trusts.

It knows nothing of what runs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["HERE", "Node", "read_only"]

_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$2" && shift 2 && exec "$@"'

# unshare makes its mounts private: nobody else sees them, and they end with the last process that does.
_ENTER = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'


def read_only(directory: Path, home: Path) -> list[str]:
    """Return the words that run a command which sees ``directory`` read-only, as systemd's ProtectSystem= does."""
    need_root("a read-only view of a directory")
    return [need("unshare"), "--mount", "sh", "-c", _READ_ONLY, "sh", str(directory), str(home)]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as one program sees it.

    Arguments:
        etc: a directory with the ``hosts`` and ``nsswitch.conf`` of its own; None: it resolves what this machine does.
        authority: whom it trusts, a file in PEM; None: it does not care for TLS.
    """

    etc: Path | None = None
    authority: Path | None = None

    @classmethod
    def make(cls, directory: Path, names: Iterable[str], authority: Path | None = None) -> Node:
        """Make a node for which ``names`` are loopback's, and for which there are no others: no DNS is asked."""
        need_root("a hosts file of a program's own")
        lines = [f"127.0.0.1 {name}" for name in ("localhost", *names)]
        (directory / "hosts").write_text("\n".join([*lines, ""]))
        (directory / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        return cls(directory, authority)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs there: Go's and OpenSSL's library look for their authorities by this one."""
        return {} if self.authority is None else {"SSL_CERT_FILE": str(self.authority)}

    @property
    def tls_verify(self) -> str:
        """What podman's, buildah's and skopeo's options of this name are to be."""
        return "false" if self.authority is None else "true"

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` there. It replaces itself: the process id stays."""
        if self.etc is None:
            return list(command)
        files = [str(self.etc / "hosts"), str(self.etc / "nsswitch.conf")]
        return [need("unshare"), "--mount", "sh", "-c", _ENTER, "sh", *files, *command]


HERE = Node()
