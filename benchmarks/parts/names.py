"""Many host names, each with a certificate and a key of its own, all by one authority: ECDSA P-256."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme

__all__ = ["Names"]


@dataclass(frozen=True, slots=True)
class Names:
    """NAME.pem for each, key and certificate together, in a directory that holds nothing else.

    Arguments:
        authority: whom clients trust, as a file.
        directory: where they are.
        names: in order; the first is crproxy's domain.
    """

    authority: Path
    directory: Path
    names: tuple[str, ...]

    @classmethod
    def write(cls, directory: Path, count: int) -> Self:
        """Issue so many."""
        files = directory / "certs"
        files.mkdir(parents=True)
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.cert_pem.write_to_path(directory / "authority.pem")
        names = tuple(f"n{number:04}.bench.test" for number in range(count))
        for name in names:
            issued = authority.issue_cert(name, key_type=trustme.KeyType.ECDSA)
            (files / f"{name}.pem").write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return cls(directory / "authority.pem", files, names)

    def file(self, name: str) -> Path:
        """Where the certificate of a name is."""
        return self.directory / f"{name}.pem"
