"""Clients' tokens in a fleet: whichever node gave one, each takes it, without Valkey and after a restart as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import tables_of
from tests.parts.images import OCI_MANIFEST
from tests.parts.places import manifest_place
from tests.parts.secure_http import SecureConnection
from tests.parts.shapes import manifest
from tests.parts.valkey import Valkey

if TYPE_CHECKING:
    from tests.parts.certificates import Authority
    from tests.parts.raw_http import Reply

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN, ALIAS = "cr.test", "quay.cr.test"
BASIC = "Basic YWxpY2U6c2VjcmV0"  # alice:secret
CONTENT = b'{"schemaVersion": 2}'
PLACE = manifest_place("v1", "team/app", "quay.io")


class Nodes:
    """Those that run, each with a disk of its own."""

    def __init__(self, directory: Path, upstream: FakeUpstream, authority: Authority) -> None:
        self._directory = directory
        self._authority = authority
        self._started = 0
        self._running = ExitStack()
        self.valkey = self._running.enter_context(Valkey())
        (directory / "htpasswd").write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(5)).decode()}\n")
        self._text = configuration({"quay.io": Upstream(upstream.url)}, domain=DOMAIN)
        self._text += f'[clients]\nhtpasswd = "{directory / "htpasswd"}"\n'

    def start(self, number: int) -> Daemon:
        """Start one, each time with an empty disk."""
        self._started += 1
        directory = self._directory / f"node-{number}-{self._started}"
        directory.mkdir()
        tables = tables_of(self._directory, number, None, self.valkey)
        certificate = self._authority.issue(DOMAIN, f"*.{DOMAIN}")
        return self._running.enter_context(
            Daemon(directory, "\n".join([self._text, *tables, ""]), certificate=certificate)
        )

    def ask(self, node: Daemon, path: str, *fields: tuple[str, str]) -> Reply:
        with SecureConnection(node.tls_port, ALIAS, self._authority.file) as connection:
            return connection.get(path, *fields)

    def log_in(self, node: Daemon) -> tuple[str, str]:
        """The field that a client sends from then on."""
        scope = "repository:team/app:pull"
        reply = self.ask(node, f"/token?service={ALIAS}&scope={scope}", ("Authorization", BASIC))
        assert reply.status == 200, reply
        return "Authorization", f"Bearer {reply.json()['token']}"

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def nodes(workers: int, tmp_path: Path, fake: FakeUpstream, authority: Authority) -> Iterator[Nodes]:
    fake.script(PLACE.path, manifest(CONTENT, OCI_MANIFEST))
    nodes = Nodes(tmp_path, fake, authority)
    yield nodes
    nodes.close()


@pytest.mark.security("S23")
def test_a_token_of_one_node_is_good_at_each(nodes: Nodes) -> None:
    first, second = nodes.start(1), nodes.start(2)
    token = nodes.log_in(first)
    for node in (first, second):
        assert nodes.ask(node, PLACE.path, token).body == CONTENT
        refused = nodes.ask(node, PLACE.path, ("Authorization", f"{token[1]}x"))
        assert refused.status == 401
    first.stop()
    nodes.valkey.kill()
    again = nodes.start(1)
    assert nodes.ask(again, PLACE.path, token).body == CONTENT
    assert nodes.ask(second, PLACE.path, nodes.log_in(again)).body == CONTENT
    assert not any((node.data_dir / "login.key").exists() for node in (again, second))
