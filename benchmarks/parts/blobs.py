"""A blob to transfer, and a client that takes it and throws it away."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .servers import program

__all__ = ["GIB", "MIB", "Blob", "download"]

MIB = 1024**2
GIB = 1024**3
REPORT = "%{http_code} %{size_download} %{time_total}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Zero bytes by the number: sparse on the disk, with a true digest."""

    size: int
    digest: str

    @classmethod
    def write(cls, size: int, registry_root: Path) -> Self:
        """Make the blob and put it where a registry would serve it from, in the repository team/app."""
        hasher = hashlib.sha256()
        for _ in range(size // MIB):
            hasher.update(bytes(MIB))
        blob = cls(size, f"sha256:{hasher.hexdigest()}")
        file = registry_root / blob.path("team/app").lstrip("/")
        file.parent.mkdir(parents=True)
        with file.open("wb") as sparse:
            sparse.truncate(size)
        return blob

    def path(self, repository: str) -> str:
        """Its path in the registry protocol."""
        return f"/v2/{repository}/blobs/{self.digest}"


def download(url: str, size: int) -> float:
    """Fetch `url` with curl; return the seconds it took. Anything but 200 and `size` bytes is an error."""
    result = subprocess.run(
        [program("curl"), "-s", "-o", "/dev/null", "--max-time", "60", "-w", REPORT, url],
        capture_output=True,
        text=True,
        check=False,
    )
    status, length, seconds = result.stdout.split()
    if result.returncode or (status, int(length)) != ("200", size):
        raise RuntimeError(f"{url}: curl ended with {result.returncode}, status {status}, {length} bytes")
    return float(seconds)
