"""One certificate for all servers under measurement: ECDSA P-256, as certificate authorities issue it today."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme

__all__ = ["HOST", "Certificate"]

# The domain that crproxy is started with, and what every server is called by its clients.
HOST = "cr.example.com"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: what the server shows, its key, and whom the client has to trust."""

    chain: Path
    key: Path
    authority: Path

    @classmethod
    def write(cls, directory: Path, *more: str) -> Self:
        """Issue a certificate for HOST, for upstreams on 127.0.0.1, and for more names, by an authority of its own."""
        directory.mkdir()
        written = cls(directory / "chain.pem", directory / "key.pem", directory / "authority.pem")
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        issued = authority.issue_cert(HOST, "127.0.0.1", *more, key_type=trustme.KeyType.ECDSA)
        for pem in issued.cert_chain_pems:
            pem.write_to_path(written.chain, append=True)
        issued.private_key_pem.write_to_path(written.key)
        authority.cert_pem.write_to_path(written.authority)
        return written

    def write_together(self, directory: Path) -> Path:
        """Make a directory with the key and the chain in one file, as crproxy's ``--certs`` wants it; return it."""
        directory.mkdir()
        (directory / "all.pem").write_bytes(self.key.read_bytes() + self.chain.read_bytes())
        return directory
