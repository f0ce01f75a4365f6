"""Is the daemon alive? For a container's health check: ``python -m crproxy.admin.health SOCKET``.

With ``/readyz`` behind that: may it be sent clients?

It asks at the admin socket, which is there whatever the daemon listens on and whoever may log in. It imports next to
nothing, because it runs every few seconds.
"""

from __future__ import annotations

import socket
import sys

__all__ = ["ask", "main"]

_SECONDS = 4.0
_ALIVE = "/healthz"


def ask(path: str, target: str = _ALIVE) -> str:
    """Return what is wrong with the daemon whose admin socket is at ``path``, by its answer; empty where nothing is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(f"HEAD {target} HTTP/1.0\r\n\r\n".encode())
            line, _, _ = connection.recv(1024).partition(b"\r\n")
        except OSError as error:
            return f"{path}: {error}"
    return "" if b" 200 " in line else f"{path} answers {line.decode('latin-1')!r}"


def main() -> None:
    """Exit with 0 where it is alive, and otherwise say what is wrong and exit with 1."""
    sys.exit(ask(*sys.argv[1:3]) or 0)


if __name__ == "__main__":
    main()
