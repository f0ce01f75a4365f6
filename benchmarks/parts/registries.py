"""The upstream of a benchmark: files in a registry's places, served by nginx.

Not a real registry: that would take its share of the processor for each measured byte, and the faster the cache in
front of it, the larger the share. What clients and caches ask of a registry, these files answer: /v2/, manifests by tag
and by digest with their type, and blobs, by GET and HEAD.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .blobs import MANIFEST_TYPE, Manifest
from .servers import Server, nginx

__all__ = ["Registry", "registry"]

# The same repository again under other names, at other rates: for what happens while a blob is on its way.
SLOWED = {"slow": "4m", "far": "16m", "steady": "64m"}
LOCATION = """
    root {root};
    location = /v2/ {{
        default_type application/json;
        add_header Docker-Distribution-Api-Version registry/2.0;
        return 200 "{{}}";
    }}
    location ~ /manifests/ {{
        default_type {type};
        add_header Docker-Content-Digest {digest};
    }}
    {slowed}
"""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that answers, and remembers what it sent.

    Arguments:
        log: nginx's access log, in its format "combined".
    """

    server: Server
    log: Path

    def sent(self, blob_path: str) -> int:
        """Bytes of bodies sent so far for GETs of a blob, when nothing more has been asked for a moment."""
        digest = re.escape(blob_path.rpartition("/")[2])
        before, now = "", self.log.read_text()
        while now != before:
            time.sleep(0.3)
            before, now = now, self.log.read_text()
        return sum(map(int, re.findall(rf'"GET \S+{digest} HTTP/1\.\d" \d+ (\d+)', now)))


@contextlib.contextmanager
def registry(directory: Path, files: Path, manifest: Manifest) -> Iterator[Registry]:
    """Serve `files`, over plain HTTP."""
    for name in SLOWED:
        (files / "v2" / "team" / name).symlink_to("app", target_is_directory=True)
    slowed = "".join(f"location /v2/team/{name}/blobs/ {{ limit_rate {rate}; }}\n" for name, rate in SLOWED.items())
    location = LOCATION.format(root=files, type=MANIFEST_TYPE, digest=manifest.digest, slowed=slowed)
    log = directory / "access.log"
    with nginx("upstream", directory, location, access_log=f"{log} combined") as server:
        yield Registry(server, log)
