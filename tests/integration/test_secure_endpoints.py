"""Endpoints that speak TLS by themselves (ssl:), which Twisted puts around a connection of ours: blobs arrive whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import sha256
from tests.parts.places import REGISTRY, blob
from tests.parts.secure_http import SecureConnection
from tests.parts.shapes import content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.certificates import Authority

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

NAME = "cr.test"


def test_a_blob_is_whole_from_upstream_and_from_the_disk(tmp_path: Path, authority: Authority) -> None:
    shown, body = authority.issue(NAME), Filler(3 << 20, seed=1)
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={shown.key}:certKey={shown.chain}"
    listen = ["--http", "tcp:0:interface=127.0.0.1", "--http", endpoint, "--https", ""]
    with FakeUpstream() as fake:
        fake.script(blob(body).path, content(body))
        config = configuration({REGISTRY: Upstream(fake.url)})
        with Daemon(tmp_path, config, listen=listen) as daemon:
            port = int(daemon.wait_for_log(r"listens on https://\S+:(\d+)")[1])
            for _ in range(3):
                with SecureConnection(port, NAME, authority.file) as connection:
                    answered = connection.get(blob(body).through)
                    assert (answered.status, sha256(answered.body)) == (200, body.digest)
            daemon.assert_calm()
