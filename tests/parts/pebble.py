"""A real CA: Debian's pebble, which speaks ACME as Let's Encrypt does, and a name server that knows every name.

It is strict, as it would be tomorrow, and rejects half of all nonces unless it is told not to.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

import trustme

from .name_server import EveryName, NameServer
from .ports import reserve_port, wait_until_listening
from .process import Process, clean_environment
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Pebble"]

_PATIENCE = 20
_VALIDATION = re.compile(r'Pulled a task from the Tasks queue: .*?Type:"dns", Value:"([^"]+)"')


class Pebble:
    """A running pebble; leaving the ``with`` block stops it, and it forgets all it knew.

    Arguments:
        directory: for its configuration.
        port: where on 127.0.0.1 it is asked; a free one otherwise.
        authority: vouches for that address; one of its own otherwise.
        http_port, tls_port: where on 127.0.0.1 it looks for answers to HTTP-01 and TLS-ALPN-01; free ones otherwise.
        rejected_nonces: how many of a hundred good nonces it rejects.
        reused_authorizations: of how many of a hundred orders a name that it has validated before need not be again.
        external_accounts: key identifiers and HMAC keys in base64url; where given, an account must be bound to one.
        blocked: domains that it issues no certificates for.
        lifetime: seconds that a certificate is valid; five years otherwise.
        strict: whether it is as strict as the next version will be.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        authority: trustme.CA | None = None,
        http_port: int | None = None,
        tls_port: int | None = None,
        rejected_nonces: int = 50,
        reused_authorizations: int = 0,
        external_accounts: Mapping[str, str] | None = None,
        blocked: Sequence[str] = (),
        lifetime: int | None = None,
        strict: bool = True,
    ) -> None:
        management = reserve_port()
        self._port = port or reserve_port()
        self.http_port = http_port or reserve_port()
        self.tls_port = tls_port or reserve_port()
        self.directory_url = f"https://127.0.0.1:{self._port}/dir"
        self.authority = authority or trustme.CA()
        self._management = f"https://127.0.0.1:{management}"
        config = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            **self._write_certificate(directory),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "externalAccountBindingRequired": bool(external_accounts),
            "externalAccountMACKeys": dict(external_accounts or {}),
            "domainBlocklist": list(blocked),
            "certificateValidityPeriod": lifetime or 0,
        }
        file = directory / "pebble.json"
        file.write_text(json.dumps({"pebble": config}))
        environment = clean_environment(
            directory,
            PEBBLE_WFE_NONCEREJECT=str(rejected_nonces),
            PEBBLE_AUTHZREUSE=str(reused_authorizations),
            PEBBLE_VA_NOSLEEP="1",
        )
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.0.0.1", 0))
        command = [need("pebble"), "-config", str(file), "-dnsserver", f"127.0.0.1:{names.getsockname()[1]}"]
        with ExitStack() as running:
            running.enter_context(NameServer(names, EveryName()))
            self._process = Process([*command, *(["-strict"] if strict else [])], directory, environment=environment)
            running.enter_context(self._process)
            for listening in (self._port, management):
                wait_until_listening(listening, self._process)
            self._running = running.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self._process.log

    def wait_for_log(self, pattern: str, *, after: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log from character ``after`` on, as soon as it is there."""
        return self._process.wait_for(pattern, after=after)

    @property
    def ca_bundle(self) -> bytes:
        """In PEM, what vouches for the address that it is asked at."""
        return self.authority.cert_pem.bytes()

    def root(self) -> bytes:
        """The root, in PEM, of what it issues; another each time that it is started."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        with urllib.request.urlopen(f"{self._management}/roots/0", timeout=_PATIENCE, context=context) as response:
            content: bytes = response.read()
            return content

    @property
    def orders(self) -> int:
        """How many orders were made so far; those that it refused are none."""
        return self.log.count("Added order ")

    @property
    def validated(self) -> list[str]:
        """The names that it was told to look at, in that order; those that it looked at again are there again."""
        return _VALIDATION.findall(self.log)

    def asked(self, path: str) -> int:
        """How many requests there were so far for this path of its own, those with a rejected nonce among them."""
        return self.log.count(f" {path} -> calling handler()")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing within the block: what is asked of it meanwhile is answered afterwards."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._running.close()

    def again(self, directory: Path) -> Pebble:
        """Start another where this one was, with what vouches for that address; all else of it is new."""
        return Pebble(
            directory,
            port=self._port,
            authority=self.authority,
            http_port=self.http_port,
            tls_port=self.tls_port,
        )

    def _write_certificate(self, directory: Path) -> dict[str, str]:
        certificate, key = directory / "listener.pem", directory / "listener.key"
        issued = self.authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return {"certificate": str(certificate), "privateKey": str(key)}
