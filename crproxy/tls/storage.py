"""Where keys and certificates lie: files that nobody else may read, each written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..policy.urls import Origin
from .certificates import BadCertificate, Certified, new_key

__all__ = ["CertificateStorage", "pem_of", "read_account_key"]

_MODE = 0o600


class CertificateStorage:
    """What is kept for one CA: the account's key, and a file for each name.

    Certificates of another CA, such as a staging one, are not found here, and so are issued anew.

    Arguments:
        data_dir: the daemon's.
        ca: which one; as an attribute, what it is called here.
    """

    def __init__(self, data_dir: Path, ca: Origin) -> None:
        host = ca.host.replace(":", "_")
        self.ca = host if ca.port == 443 else f"{host}_{ca.port}"
        self._directory = data_dir / "acme" / self.ca

    def account_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the account's key, made at the first time.

        Raises:
            OSError: it can be neither read nor written.
            BadCertificate: the file holds something else.
        """
        path = self._directory / "account.pem"
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            key = new_key()
            self._write(path, pem_of(key))
            return key
        try:
            return read_account_key(pem)
        except BadCertificate as error:
            raise BadCertificate(f"{path} {error}: move it away, and a new account is made") from error

    def keep_account_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Have another key of the account from now on. Raises OSError."""
        self._write(self._directory / "account.pem", pem_of(key))

    def load(self, name: str) -> Certified | None:
        """Return the certificate of ``name``; None where there is none. Raises OSError and BadCertificate."""
        try:
            return Certified.from_pem(self._path(name).read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, name: str, certified: Certified) -> None:
        """Keep the certificate of ``name``. Raises OSError."""
        self._write(self._path(name), certified.to_pem())

    def _path(self, name: str) -> Path:
        return self._directory / "certificates" / f"{name}.pem"

    def _write(self, path: Path, content: bytes) -> None:
        # mkdir(parents=True) would give the ones between the usual mode.
        for directory in (self._directory.parent, self._directory, path.parent):
            directory.mkdir(mode=0o700, parents=directory == self._directory.parent, exist_ok=True)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def read_account_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key that ``pem`` holds. Raises BadCertificate, with words to put behind where it was found."""
    try:
        read = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCertificate("is no private key") from error
    if not isinstance(read, ec.EllipticCurvePrivateKey) or not isinstance(read.curve, ec.SECP256R1):
        raise BadCertificate("is no P-256 key")
    return read


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a file's content: the key, which nothing protects."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
