"""`openssl s_client`: one handshake with whatever versions, ciphers and groups a test wants it to offer."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .process import clean_environment
from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Handshake", "SClient", "ciphers"]

_PATIENCE = 30
# OpenSSL's own defaults refuse what these tests want to see refused by the other side.
_ANYTHING = "ALL:eNULL:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What came of it.

    Arguments:
        status: 0 where the handshake was done and the certificate accepted.
        output: all that was said.
    """

    status: int
    output: str

    @property
    def alert(self) -> int | None:
        """The number of the alert that ended it (RFC 8446, 6.2)."""
        found = re.search(r"SSL alert number (\d+)", self.output)
        return None if found is None else int(found[1])

    @property
    def version(self) -> str | None:
        return self._one(r"^(?:New|Reused), (TLSv[0-9.]+), Cipher is")

    @property
    def cipher(self) -> str | None:
        found = self._one(r"^(?:New|Reused), \S+ Cipher is (\S+)$")
        return None if found == "(NONE)" else found

    @property
    def protocol(self) -> str | None:
        """What ALPN chose."""
        return self._one(r"^ALPN protocol: (.+)$")

    @property
    def reused(self) -> int:
        """How many of its connections resumed a session."""
        return len(re.findall(r"^Reused, ", self.output, re.MULTILINE))

    def _one(self, pattern: str) -> str | None:
        found = re.search(pattern, self.output, re.MULTILINE)
        return None if found is None else found[1]


class SClient:
    """A client of one port of loopback.

    Arguments:
        home: its home and working directory.
        port: where it connects to.
        authority: whom it trusts; it accepts nobody else's certificates.
    """

    def __init__(self, home: Path, port: int, authority: Path) -> None:
        self._home = home
        self._command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority)]

    def connect(self, name: str | None, *options: str, say: str = "") -> Handshake:
        """Shake hands asking for ``name``, whose certificate must be shown; hang up at the end of ``say``."""
        named = ["-noservername"] if name is None else ["-servername", name, "-verify_hostname", name]
        done = subprocess.run(
            [*self._command, "-verify_return_error", *named, *options],
            cwd=self._home,
            env=clean_environment(self._home),
            input=say,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
        return Handshake(done.returncode, done.stdout + done.stderr)

    def connect_with_anything(self, name: str | None, *options: str) -> Handshake:
        """As ``connect``, offering the weakest that it knows as well."""
        return self.connect(name, "-cipher", _ANYTHING, *options)


def ciphers() -> list[str]:
    """Return every cipher suite of TLS 1.2 that OpenSSL's client can offer here."""
    command = [need("openssl"), "ciphers", "-s", "-tls1_2", _ANYTHING]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(":")
