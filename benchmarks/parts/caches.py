"""The caches that are compared, each as its documentation says it is made one of a registry; and relays."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from .certificates import Certificate
from .peers import Peer
from .servers import Server, crproxy, docker_registry, nginx

__all__ = ["CRPROXY", "DOCKER_REGISTRY", "NGINX", "Caches", "Relays"]

CRPROXY, NGINX, DOCKER_REGISTRY = "crproxy", "nginx", "docker-registry"

CRPROXY_CONFIG = """
default_registry = "registry.test"
[upstreams."registry.test"]
endpoint = "{upstream}"
[cache]
size = "50G"
# All of them come from this machine.
[limits]
connections_per_client = 2000
"""

NGINX_HTTP = """
proxy_cache_path {directory}/cache levels=1:2 keys_zone=images:16m max_size=50g inactive=1d use_temp_path=off;
upstream registry {{ server {upstream}; keepalive 64; }}
"""
# The lock has no end: one that gives up after nginx's default of 5 s lets all clients through to the upstream.
# Its buffers are larger than its defaults, 8 of 4 KiB.
NGINX_LOCATION = """
proxy_pass http://registry;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_cache images;
proxy_cache_valid 200 1h;
proxy_cache_lock on;
proxy_cache_lock_timeout 1h;
proxy_cache_lock_age 1h;
proxy_buffer_size 64k;
proxy_buffers 16 64k;
proxy_busy_buffers_size 128k;
proxy_temp_file_write_size 256k;
"""

# Too small for any blob, so that all of them pass through.
RELAY_CONFIG = """
default_registry = "registry.test"
[upstreams."registry.test"]
endpoint = "{upstream}"
{trusted}
[cache]
size = "1M"
"""
NGINX_RELAY = """
proxy_pass {upstream};
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_buffering off;
"""


@dataclass(frozen=True, slots=True)
class Caches:
    """Starts caches of one upstream, each in a new directory.

    Arguments:
        directory: for all of theirs.
        upstream: host and port.
        certificate: that they show.
        peers: others, beside the three.
    """

    directory: Path
    upstream: str
    certificate: Certificate
    peers: Sequence[Peer] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """All of them, by name."""
        return (CRPROXY, NGINX, DOCKER_REGISTRY, *(peer.name for peer in self.peers))

    @property
    def startable(self) -> tuple[str, ...]:
        """Those that can be started anew, and have kept nothing then."""
        found = {peer.name for peer in self.peers if peer.runs_already}
        return tuple(kind for kind in self.kinds if kind not in found)

    def start(self, kind: str) -> AbstractContextManager[Server]:
        """One, empty, for one `with` block."""
        number = len(list(self.directory.iterdir()))
        return self._starts()[kind](self.directory / f"{number}-{kind}")

    @contextlib.contextmanager
    def start_all(self) -> Iterator[list[Server]]:
        """All of them, for one `with` block."""
        with contextlib.ExitStack() as running:
            yield [running.enter_context(self.start(kind)) for kind in self.kinds]

    def _starts(self) -> Mapping[str, Callable[[Path], AbstractContextManager[Server]]]:
        ours = {CRPROXY: self._crproxy, NGINX: self._nginx, DOCKER_REGISTRY: self._docker_registry}
        return {**ours, **{peer.name: functools.partial(self._peer, peer) for peer in self.peers}}

    def _peer(self, peer: Peer, directory: Path) -> AbstractContextManager[Server]:
        return peer.start(directory, self.upstream, self.certificate)

    def _crproxy(self, directory: Path) -> AbstractContextManager[Server]:
        configuration = CRPROXY_CONFIG.format(upstream=f"http://{self.upstream}")
        return crproxy(CRPROXY, directory, configuration, certificate=self.certificate)

    def _nginx(self, directory: Path) -> AbstractContextManager[Server]:
        http = NGINX_HTTP.format(directory=directory, upstream=self.upstream)
        return nginx(NGINX, directory, NGINX_LOCATION, http=http, certificate=self.certificate)

    def _docker_registry(self, directory: Path) -> AbstractContextManager[Server]:
        return docker_registry(DOCKER_REGISTRY, directory, f"http://{self.upstream}", certificate=self.certificate)


@dataclass(frozen=True, slots=True)
class Relays:
    """Starts those that pass everything through, crproxy and nginx.

    Arguments:
        directory: for both; it is made.
        upstream: its URL, without a path.
        certificate: that they show, and that upstream shows where its URL is https; None in the clear.
    """

    directory: Path
    upstream: str
    certificate: Certificate | None

    @contextlib.contextmanager
    def start(self) -> Iterator[list[Server]]:
        """Both, for one `with` block."""
        self.directory.mkdir()
        trusted = "" if self.certificate is None else f'ca_file = "{self.certificate.authority}"'
        configuration = RELAY_CONFIG.format(upstream=self.upstream, trusted=trusted)
        location = NGINX_RELAY.format(upstream=self.upstream)
        with (
            crproxy(CRPROXY, self.directory / CRPROXY, configuration, certificate=self.certificate) as ours,
            nginx(NGINX, self.directory / NGINX, location, certificate=self.certificate) as theirs,
        ):
            yield [ours, theirs]
