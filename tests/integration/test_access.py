"""What is served, by lists: decided before any name is looked up, and read again on SIGHUP.

The rows are those of the project's table of threats (S1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import OCI_MANIFEST
from tests.parts.places import REGISTRY, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = pytest.mark.integration

SERVED, SECRET = manifest_place("v1"), manifest_place("v1", "team/secret")
LISTS = f"""
[access]
allow_file = "list.txt"
deny = ["{REGISTRY}/team/secret"]
message = "ask ops@example.com"
"""


def text(fake: FakeUpstream, lists: str) -> str:
    return configuration({REGISTRY: Upstream(fake.url)}) + lists


def asks(daemon: Daemon, target: str) -> Reply:
    return ask(daemon.address, "GET", target)


def test_s1_what_is_not_allowed_is_refused_and_nobody_is_asked(tmp_path: Path, fake: FakeUpstream) -> None:
    names = "\n".join(f"{REGISTRY}/team/app{number}" for number in range(20_000))
    (tmp_path / "list.txt").write_text(f"{names}\n{REGISTRY}/team/*\n")
    for place in (SERVED, SECRET):
        fake.script(place.path, manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
    with Daemon(tmp_path, text(fake, LISTS)) as daemon:
        assert asks(daemon, SERVED.through).body == b'{"schemaVersion": 2}'
        before = len(fake.seen.requests())
        others = (
            "/v2/quay.io/org/app/manifests/v1",
            "/v2/metadata.google.internal/a/manifests/v1",
            "/v2/nginx/manifests/v1",
        )
        for target in (SECRET.through, *others):
            reply = asks(daemon, target)
            assert (reply.status, reply.code) == (403, "DENIED")
            assert "ask ops@example.com" in reply.message
        assert len(fake.seen.requests()) == before


def test_the_lists_are_read_again_without_a_restart(tmp_path: Path, fake: FakeUpstream) -> None:
    fake.script(SERVED.path, manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
    (tmp_path / "list.txt").write_text("quay.io\n")
    with Daemon(tmp_path, text(fake, LISTS)) as daemon:
        assert asks(daemon, SERVED.through).status == 403
        (tmp_path / "list.txt").write_text(f"{REGISTRY}/team/*\n")
        daemon.reload(text(fake, LISTS))
        daemon.wait_for_log("the configuration was read again")
        assert asks(daemon, SERVED.through).status == 200
        (tmp_path / "list.txt").write_text("not a pattern\n")
        daemon.reload(text(fake, LISTS))
        daemon.wait_for_log("was not read again, nothing has changed: .*'not a pattern' is no pattern")
        assert asks(daemon, SERVED.through).status == 200


def test_a_privileged_network_is_served_everything(tmp_path: Path, fake: FakeUpstream) -> None:
    fake.script(SECRET.path, manifest(b'{"schemaVersion": 2}', OCI_MANIFEST))
    (tmp_path / "list.txt").write_text("quay.io\n")
    with Daemon(tmp_path, text(fake, LISTS + '[clients]\nprivileged = ["127.0.0.0/8"]\n')) as daemon:
        assert asks(daemon, SECRET.through).status == 200
