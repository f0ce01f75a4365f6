"""What a server shows to ``openssl s_client``, which knows nothing of the library that made it.

It knows nothing of who the server is.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNRECOGNIZED_NAME", "Shown", "look"]

# RFC 8446, 6
UNRECOGNIZED_NAME = 112

_PATIENCE = 20
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)
_VERDICT = re.compile(r"Verify return code: (\d+) \((.*)\)")
_ALERT = re.compile(r"SSL alert number (\d+)")


@dataclass(frozen=True, slots=True)
class Shown:
    """How a handshake went.

    Arguments:
        certificate: the server's; None where it refused.
        verdict: what OpenSSL thinks of it, ``ok`` where it is good for the name that was asked for.
        alert: by which it refused.
    """

    certificate: x509.Certificate | None
    verdict: str
    alert: int | None

    @property
    def names(self) -> list[str]:
        """The names that the certificate is for; none where there is no certificate."""
        if self.certificate is None:
            return []
        extension = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return extension.value.get_values_for_type(x509.DNSName)


def look(port: int, name: str | None, root: Path, *, expected: str | None = None) -> Shown:
    """Connect to a port of 127.0.0.1 and look at what is shown.

    Arguments:
        name: is asked for by SNI; None asks for none.
        root: the authority that is trusted, a file in PEM.
        expected: the name that the certificate is to be for, where that is not ``name``.
    """
    command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"]
    command += ["-CAfile", str(root), "-no-CApath", "-no-CAstore"]
    command += ["-noservername"] if name is None else ["-servername", name]
    command += ["-verify_hostname", expected or name or ""]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=_PATIENCE)
    output = (done.stdout + done.stderr).decode(errors="replace")
    verdict, alert, certificate = _VERDICT.search(output), _ALERT.search(output), _CERTIFICATE.search(output)
    assert verdict is not None, output
    return Shown(
        None if certificate is None else x509.load_pem_x509_certificate(certificate[0].encode()),
        verdict[2],
        None if alert is None else int(alert[1]),
    )
