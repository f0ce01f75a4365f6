"""The service manager that started us, spoken to as sd_notify(3) says: lines in a datagram to a Unix socket.

That is all there is of the protocol, so no library is asked for it; see docs/decisions/0012-supervision.md.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

__all__ = ["Supervisor"]


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Whoever watches over this process.

    Arguments:
        address: of the socket; empty where there is nobody.
        patience: seconds of silence after which it takes us for hung; None where it does not watch.
    """

    address: str = ""
    patience: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the one that the variables of sd_notify(3) and sd_watchdog_enabled(3) tell of."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watches = ours and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1_000_000 if watches else None)

    def tell(self, *lines: str) -> None:
        """Send these assignments, such as READY=1. That it does not listen is no trouble of ours."""
        if not self.address:
            return
        # An abstract socket's name begins with a NUL (unix(7)), which is written @.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)
