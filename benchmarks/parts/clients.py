"""Clients that cost little themselves, and throw away what they get."""

import contextlib
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence

from .blobs import MANIFEST_TYPE
from .certificates import HOST
from .servers import Server, environment, program

__all__ = [
    "ask",
    "connected",
    "download",
    "download_beside",
    "download_for",
    "download_together",
    "first_byte",
    "read_slowly",
    "requests_per_second",
]

REPORT = "%{http_code} %{size_download} %{time_total}"
SECONDS = 120
# What one slow reader takes at a time, and how often.
SIP = 16 * 1024
SIP_SECONDS = 0.1


def download(server: Server, path: str, size: int) -> float:
    """Fetch `path` with curl; return the seconds it took. Anything but 200 and `size` bytes is an error."""
    return _report(_curl(server, path), server.url(path), size)


def download_together(server: Server, path: str, size: int, count: int) -> float:
    """Fetch `path` with so many curls at once; return the seconds until the last is done."""
    begun = time.monotonic()
    for running in [_curl(server, path) for _ in range(count)]:
        _report(running, server.url(path), size)
    return time.monotonic() - begun


def download_beside(server: Server, path: str, size: int) -> float:
    """Fetch `path` while somebody reads it at 1 MiB/s, from before until after; return the seconds it took."""
    slow = _curl(server, path, "--limit-rate", "1M")
    try:
        return download(server, path, size)
    finally:
        slow.kill()
        slow.communicate()


def download_for(server: Server, seconds: float, downloads: Sequence[tuple[str, str]]) -> list[float]:
    """Fetch for so long, all at once; return the bytes per second of each.

    Arguments:
        downloads: for each the address of this machine that it comes from, and the path; longer than can be fetched.
    """
    limit = ("--max-time", str(seconds))
    running = [_curl(server, path, *limit, "--interface", address) for address, path in downloads]
    return [_rate(one) for one in running]


def _rate(running: subprocess.Popen[str]) -> float:
    output, _ = running.communicate()
    status, length, seconds = output.split()
    # 28: the time is up.
    if running.returncode != 28 or status != "200":
        raise RuntimeError(f"{running.args!r} ended with {running.returncode}, status {status}, {length} bytes")
    return int(length) / float(seconds)


def _curl(server: Server, path: str, *options: str) -> subprocess.Popen[str]:
    command = [program("curl"), "-s", "-o", "/dev/null", "--max-time", str(SECONDS), "-w", REPORT, *options]
    if server.certificate is not None:
        command += ["--cacert", str(server.certificate), "--http2" if server.http2 else "--http1.1"]
        command += server.proxy or ("--resolve", f"{server.host}:{server.port}:127.0.0.1")
    return subprocess.Popen([*command, server.url(path)], stdout=subprocess.PIPE, text=True, env=environment())


def _report(running: subprocess.Popen[str], url: str, size: int) -> float:
    output, _ = running.communicate()
    status, length, seconds = output.split()
    if running.returncode or (status, int(length)) != ("200", size):
        raise RuntimeError(f"{url}: curl ended with {running.returncode}, status {status}, {length} bytes")
    return float(seconds)


def requests_per_second(
    server: Server, path: str, seconds: int, connections: int, headers: Sequence[str] = ()
) -> float:
    """Ask for a manifest over and over with wrk (HTTP/1.1, keep-alive); return how often it was answered.

    Arguments:
        headers: more fields.
    """
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s"]
    # It looks names up by the system alone, so it is given the address, and the name beside it.
    url = server.url(path).replace(f"//{server.host}:", "//127.0.0.1:")
    command += ["-H", f"Accept: {MANIFEST_TYPE}", "-H", f"Host: {server.host}:{server.port}"]
    command += [part for header in headers for part in ("-H", header)] + [url]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    rate = re.search(r"Requests/sec:\s+([\d.]+)", result.stdout)
    if rate is None or "Non-2xx" in result.stdout or "Socket errors" in result.stdout:
        raise RuntimeError(f"{server.url(path)}: {result.stdout}{result.stderr}")
    return float(rate[1])


def first_byte(server: Server, path: str) -> float:
    """Ask on a connection that stands already; return the seconds until the first byte of the body is there."""
    with connected(server) as connection:
        begun = time.monotonic()
        connection.sendall(_request(server.path(path), server.host))
        received = b""
        while not received.partition(b"\r\n\r\n")[2]:
            piece = connection.recv(4096)
            if not piece:
                raise RuntimeError(f"{server.url(path)}: the connection ended after {received!r}")
            received += piece
        seconds = time.monotonic() - begun
    if not received.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{server.url(path)}: {received!r}")
    return seconds


@contextlib.contextmanager
def connected(server: Server, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """A connection, with HTTP/1.1 in TLS where the server speaks that; for one block."""
    with socket.socket() as plain:
        plain.settimeout(SECONDS)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", server.port))
        if server.certificate is None:
            yield plain
            return
        context = ssl.create_default_context(cafile=str(server.certificate))
        with context.wrap_socket(plain, server_hostname=server.host) as encrypted:
            yield encrypted


def read_slowly(connections: Sequence[socket.socket], path: str, seconds: float) -> int:
    """Ask for `path` on all, and read a little of each now and then; return how many bytes came in all."""
    for connection in connections:
        connection.sendall(_request(path))
        connection.setblocking(False)
    received, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(SIP_SECONDS)
        received += sum(_sip(connection) for connection in connections)
    return received


def _sip(connection: socket.socket) -> int:
    received = 0
    # Of TLS a call returns one record, and none until the whole record is there.
    with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
        while received < SIP and (piece := connection.recv(SIP - received)):
            received += len(piece)
    return received


def ask(connection: socket.socket, path: str, host: str = HOST) -> None:
    """Ask for something small, and read its header and what comes with it."""
    connection.sendall(_request(path, host))
    if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{path}: not answered")


def _request(path: str, host: str = HOST) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {MANIFEST_TYPE}, */*\r\n\r\n".encode()
