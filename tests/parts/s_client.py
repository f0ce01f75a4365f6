"""`openssl s_client`: one handshake with whatever versions, ciphers and groups a test wants it to offer."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from .process import clean_environment
from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNRECOGNIZED_NAME", "Handshake", "SClient", "ciphers"]

# RFC 8446, 6
UNRECOGNIZED_NAME = 112

_PATIENCE = 30
# OpenSSL's own defaults refuse what these tests want to see refused by the other side.
_ANYTHING = "ALL:eNULL:@SECLEVEL=0"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


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

    @property
    def verdict(self) -> str | None:
        """What OpenSSL thinks of the certificate, ``ok`` where it is good for the name that was asked for."""
        return self._one(r"Verify return code: \d+ \((.*)\)")

    @property
    def certificate(self) -> x509.Certificate | None:
        """The server's; None where it refused."""
        found = _CERTIFICATE.search(self.output)
        return None if found is None else x509.load_pem_x509_certificate(found[0].encode())

    @property
    def names(self) -> list[str]:
        """The names that the certificate is for; none where there is no certificate."""
        certificate = self.certificate
        if certificate is None:
            return []
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return extension.value.get_values_for_type(x509.DNSName)

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
        return self._run([*named, "-verify_return_error", *options], say)

    def look(self, name: str | None, expected: str) -> Handshake:
        """Shake hands asking for ``name`` and look at what is shown, be it good for ``expected`` or not."""
        named = ["-noservername"] if name is None else ["-servername", name]
        return self._run([*named, "-verify_hostname", expected, "-no-CApath", "-no-CAstore"])

    def _run(self, options: list[str], say: str = "") -> Handshake:
        done = subprocess.run(
            [*self._command, *options],
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
