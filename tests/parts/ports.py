"""Ports of 127.0.0.1 for programs that must be told one: they take no port 0, or do not say what it became."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .process import Process

__all__ = ["reserve", "reserve_port", "wait_until_listening"]


def reserve() -> socket.socket:
    """Return a socket whose port nobody listens at, and that is the caller's until the socket is closed.

    It is bound, though it does not listen, so the kernel gives its port to nobody who asks for any free one, nor to a
    connection (ip(7), ip_local_port_range). Whoever sets SO_REUSEADDR may listen there all the same, and again, as
    Twisted, Go, nginx, squid, systemd and Chromium do. UDP has no such thing.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def reserve_port() -> int:
    """Return a port that nobody listens at, and that is the caller's until this process ends."""
    reserved = reserve()
    port: int = reserved.getsockname()[1]
    reserved.detach()
    return port


def wait_until_listening(port: int, process: Process, seconds: float = 60) -> None:
    """Wait until ``process`` listens at ``port`` of 127.0.0.1, for programs that do not say when they do."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at port {port}; its log:\n{process.log}"
            time.sleep(0.01)
        else:
            return
