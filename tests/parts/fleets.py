"""Several daemons as the nodes of a fleet: with an object store, a Valkey, or both in common."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from prometheus_client.parser import text_string_to_metric_families

from .admin_socket import tell
from .daemon import Daemon, Upstream, configuration
from .ports import reserve_port
from .raw_http import Fetched, fetch

if TYPE_CHECKING:
    from .network import Network
    from .s3 import S3Server
    from .valkey import Valkey

__all__ = ["Fleet", "is_in_common", "metrics", "tables_of", "together"]

_EVERYWHERE = ("--http", "tcp:0:interface=0.0.0.0", "--https", "")
# Of a machine of its own, where it is free.
_PORT = 5443
_SECRET = "0123456789abcdef0123456789abcdef"


class Fleet:
    """Its nodes run until the ``with`` block is left.

    Arguments:
        directory: of all of them.
        upstreams: what each is configured with.
        s3: the object store.
        valkey: where they agree.
        cache: the table of each.
        more: further lines of each's configuration.
        storage: further lines of what it says of the object store.
        network: of machines that are named as the nodes are, ``node-1`` and so on; None: all are on this one.
    """

    def __init__(
        self,
        directory: Path,
        upstreams: Mapping[str, Upstream],
        *,
        s3: S3Server | None = None,
        valkey: Valkey | None = None,
        cache: Mapping[str, str] | None = None,
        more: str = "",
        storage: str = "",
        network: Network | None = None,
    ) -> None:
        self.nodes: list[Daemon] = []
        self._directory = directory
        self._upstreams = upstreams
        self._s3 = s3
        self._valkey = valkey
        self._cache = cache
        self._more = more
        self._storage = storage
        self._network = network

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # All of them, whatever is wrong with one.
        with ExitStack() as stopped:
            for node in reversed(self.nodes):
                stopped.callback(node.stop)

    def start(self, *, workers: int | None = None, data_dir: Path | None = None) -> Daemon:
        """Start one more, with an empty disk unless another is given."""
        number = len(self.nodes) + 1
        directory = self._directory / f"node-{number}"
        directory.mkdir()
        text = configuration(self._upstreams, cache=self._cache)
        network = self._network
        host = None if network is None else network.address(f"node-{number}")
        tables = tables_of(self._directory, number, self._s3, self._valkey, self._storage, host)
        config = "\n".join([text, *tables, self._more])
        if network is None or host is None:
            node = Daemon(directory, config, data_dir, workers=workers)
        else:
            there = network.node(f"node-{number}")
            node = Daemon(directory, config, data_dir, listen=_EVERYWHERE, node=there, workers=workers, host=host)
        self.nodes.append(node)
        return node


def metrics(node: Daemon) -> dict[str, float]:
    """What it says, each by its name and the values of its labels."""
    node.wait_for_log("listens on admin://")
    text = tell(node.data_dir / "admin.sock", "GET", "/metrics").body.decode()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def is_in_common(node: Daemon, nodes: int) -> bool:
    """Whether each of its workers reaches Valkey, and knows of so many nodes."""
    seen = metrics(node)
    return seen["crproxy_fleet_valkey_up"] == 1 and seen["crproxy_fleet_nodes"] == nodes


def tables_of(
    directory: Path,
    number: int,
    s3: S3Server | None,
    valkey: Valkey | None,
    storage: str = "",
    host: str | None = None,
) -> list[str]:
    """Return the lines of a node's configuration that say what it has in common with others.

    Arguments:
        directory: where its secrets lie.
        number: which node it is.
        storage: further lines of what is said of the object store.
        host: where others reach it; None: on this machine.
    """
    lines = []
    if s3 is not None:
        key = _written(directory / "s3.secret", s3.secret_access_key)
        lines += [
            "[storage]",
            f'url = "s3://{s3.bucket}/fleet"',
            f'endpoint = "{s3.endpoint}"',
            f'region = "{s3.region}"',
            f'access_key_id = "{s3.access_key_id}"',
            f'secret_access_key_file = "{key}"',
            storage,
        ]
    if valkey is not None:
        lines += [
            "[fleet]",
            f'valkey = "{valkey.url}"',
            f'advertise = "https://{host or "127.0.0.1"}:{reserve_port() if host is None else _PORT}"',
            f'secret_file = "{_written(directory / "fleet.secret", _SECRET)}"',
            f'name = "node-{number}"',
        ]
    return lines


def together(nodes: list[Daemon], target: str, each: int, seconds: float = 120) -> list[Future[Fetched]]:
    """Have so many clients of each node GET the same, all at once; return what becomes of each, when all are over."""
    with ThreadPoolExecutor(len(nodes) * each) as clients:
        return [clients.submit(fetch, node.address, target, seconds=seconds) for node in nodes for _ in range(each)]


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file
