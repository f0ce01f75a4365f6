"""An upstream registry that does what a test tells it, and keeps account of all that reaches it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

from .answers import Answer, Request, Script
from .connection import Connection
from .images import Image, Index
from .ledger import Ledger
from .ports import reserve
from .shapes import content, error, manifest

if TYPE_CHECKING:
    import ssl

__all__ = ["FakeUpstream"]


class FakeUpstream:
    """A scripted registry on a free port; leaving the ``with`` block ends it with all its connections.

    Arguments:
        tls: to serve HTTPS.
        listener: accepts its connections, in place of a free port of loopback's.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, listener: socket.socket | None = None) -> None:
        self.seen = Ledger()
        self._tls = tls
        self._scripts: dict[tuple[str, str], list[Script]] = {("GET", "/v2/"): [Answer(body=b"{}")]}
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._reached: list[tuple[str, int]] = []
        # While it is stopped, nobody else may answer there.
        self._reserved = reserve()
        self._listener = listener or socket.create_server(self._reserved.getsockname(), backlog=256)
        self._port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reserved.close()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    @property
    def reached(self) -> list[tuple[str, int]]:
        """The address and port that each connection so far was made to, which are one's own but for an Internet's."""
        with self._lock:
            return list(self._reached)

    def script(self, path: str, *answers: Script, method: str = "GET") -> None:
        """Answer requests for ``path`` with each of ``answers`` in turn, and with the last one from then on.

        A HEAD is answered with the head of what a GET would get, unless it has a script of its own.
        """
        with self._lock:
            self._scripts[method, path] = list(answers)

    def publish(self, repository: str, tag: str, image: Image | Index) -> None:
        """Serve an image with all that it refers to."""
        self._publish_manifest(repository, tag, image)
        self._publish_manifest(repository, image.manifest.digest, image)

    def stop(self) -> None:
        """Close everything and wait for every thread; from then on connections are refused."""
        if not self._acceptor.is_alive():
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in self._connections:
            connection.end()

    def _publish_manifest(self, repository: str, reference: str, image: Image | Index) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        self.script(path, manifest(image.manifest.read(), image.manifest.media_type))
        if isinstance(image, Index):
            for child in image.images:
                self._publish_manifest(repository, child.manifest.digest, child)
            return
        for blob in image.blobs:
            self.script(f"/v2/{repository}/blobs/{blob.digest}", content(blob.read()))

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            host, port, *_ = accepted.getsockname()
            with self._lock:
                self._reached.append((host.removeprefix("::ffff:"), port))
            connection = Connection(accepted, self._tls, self.seen, self._choose)
            self._connections.append(connection)
            connection.start()

    def _choose(self, request: Request) -> Answer:
        script = self._next_script(request)
        return script if isinstance(script, Answer) else script(request)

    def _next_script(self, request: Request) -> Script:
        with self._lock:
            scripts = self._scripts.get((request.method, request.path))
            if scripts is None and request.method == "HEAD":
                scripts = self._scripts.get(("GET", request.path))
            if scripts is None:
                return error(404, "NAME_UNKNOWN", "not scripted")
            return scripts.pop(0) if len(scripts) > 1 else scripts[0]
