"""A real registry as upstream: Debian's docker-registry, with storage of its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Self

from .node import HERE, Node
from .ports import reserve_port
from .process import Process
from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

    from .certificates import Certificate
    from .token_server import TokenServer

__all__ = ["PASSWORD", "USERNAME", "DockerRegistry", "htpasswd_auth", "token_auth", "write_htpasswd"]

USERNAME = "puller"
PASSWORD = "right horse"  # bcrypt's cost of 5 below keeps a request cheap
_HTPASSWD = "puller:$2y$05$rxb3gZq5O2nKHW/Gj/ntMuT41bbyltf3k9qDM0n7XN8ERrjBkp2z6\n"

Auth = dict[str, dict[str, str]]


def htpasswd_auth(directory: Path) -> Auth:
    """Ask for HTTP Basic: the user ``puller`` with PASSWORD may do everything."""
    file = directory / "htpasswd"
    write_htpasswd(file)
    return {"htpasswd": {"realm": "registry.example.org", "path": str(file)}}


def write_htpasswd(file: Path) -> None:
    """Write a password file, of Apache's kind, that has this one user."""
    file.write_text(_HTPASSWD)


def token_auth(directory: Path, tokens: TokenServer) -> Auth:
    """Ask for a bearer token of this token server's."""
    bundle = tokens.write_certificate(directory / "tokens.pem")
    who = {"realm": tokens.realm, "service": tokens.service, "issuer": tokens.issuer}
    return {"token": {**who, "rootcertbundle": str(bundle)}}


class DockerRegistry:
    """A running docker-registry; leaving the ``with`` block stops it.

    Arguments:
        directory: for its configuration and, unless another ``storage`` is given, what is pushed.
        auth: whom it lets in; without it, everybody.
        certificate: to serve HTTPS.
        node: where it runs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        auth: Auth | None = None,
        storage: Path | None = None,
        certificate: Certificate | None = None,
        node: Node = HERE,
    ) -> None:
        self._scheme = "http" if certificate is None else "https"
        tls = {} if certificate is None else {"certificate": str(certificate.chain), "key": str(certificate.key)}
        self.storage = storage or directory / "storage"
        config: dict[str, Any] = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": False}},
            "http": {"addr": f"127.0.0.1:{reserve_port()}", "secret": "of no interest", "tls": tls},
            **({"auth": auth} if auth else {}),
        }
        file = directory / "registry.yml"
        file.write_text(json.dumps(config))  # all JSON is YAML
        self._command, self._directory = node.command([need("docker-registry"), "serve", str(file)]), directory
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.authority}"

    @property
    def port(self) -> int:
        return int(self.authority.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._process.log

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log, as soon as it is there."""
        return self._process.wait_for(pattern)

    def start(self) -> None:
        """Start it; where it was stopped, at the same port again, and with an empty log."""
        self._process = Process(self._command, self._directory)
        self.authority = self._process.wait_for(r"listening on (127\.0\.0\.1:\d+)")[1]

    def stop(self) -> None:
        self._process.stop()
