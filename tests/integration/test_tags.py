"""``crproxy tag`` and ``crproxy rules``: what the operator says counts in every worker, and after a restart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask, fetch
from tests.parts.shapes import content, manifest, ranged
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

TAG = manifest_place("v1")
NAME = f"{REGISTRY}/team/app:v1"
MEBIBYTE = 1 << 20
# Of each manifest one layer.
LAYERS = [Filler(MEBIBYTE, seed=number) for number in range(2)]
RULES = """
[[rules]]
name = "tried"
action = "deny"
enforce = false

[[rules]]
name = "three days"
minimum_age = "72h"
"""


def manifest_of(layer: Filler) -> bytes:
    described = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [described]}).encode()


OLD, NEW = map(manifest_of, LAYERS)


@dataclass
class House:
    """A daemon that asks upstream for a tag with each request, and its operator."""

    daemon: Daemon
    operator: Operator
    fake: FakeUpstream

    def points_to(self, body: bytes) -> None:
        for place in (TAG, manifest_place(sha256(body))):
            self.fake.script(place.path, manifest(body, OCI_MANIFEST))

    def pulled(self) -> str:
        """Return the digest that clients get, of whichever workers."""
        digests = {ask(self.daemon.address, "GET", TAG.through).headers["Docker-Content-Digest"] for _ in range(4)}
        (digest,) = digests
        return digest

    def says(self, *words: str) -> Any:
        return self.operator.runs(*words, "--json").json()

    def moves(self) -> None:
        """Have the tag be pulled, and then point elsewhere."""
        self.points_to(OLD)
        assert self.pulled() == sha256(OLD)
        self.points_to(NEW)
        assert self.pulled() == sha256(NEW)


def run(directory: Path, fake: FakeUpstream, more: str = "", **cache: str) -> Daemon:
    directory.mkdir(exist_ok=True)
    config = configuration({REGISTRY: Upstream(fake.url)}, cache={"tag_ttl": "1ms", **cache}) + more
    return Daemon(directory, config)


@pytest.fixture
def house(tmp_path: Path, fake: FakeUpstream) -> Iterator[House]:
    for layer in LAYERS:
        fake.script(blob(layer).path, ranged(layer))
    fake.script(blob(b"{}").path, content(b"{}"))
    with run(tmp_path / "daemon", fake, size="8M") as daemon:
        yield House(daemon, Operator.of(daemon, tmp_path), fake)


def restarted(house: House, tmp_path: Path, more: str = "", **cache: str) -> House:
    house.daemon.stop()
    daemon = run(tmp_path / "daemon", house.fake, more, **cache)
    return House(daemon, Operator.of(daemon, tmp_path), house.fake)


def test_a_rollback_counts_in_every_worker_and_after_a_restart(house: House, tmp_path: Path) -> None:
    house.moves()
    changes = house.says("tag", "history", NAME)["changes"]
    assert [(change["to"], change["answered"]) for change in changes] == [(sha256(NEW), True), (sha256(OLD), False)]
    assert changes[0]["asked_by"] == "127.0.0.1"
    done = house.operator.runs("tag", "rollback", NAME)
    assert (done.status, done.out.splitlines()[-1].partition(":")[0]) == (0, "not all of it is here")
    assert house.pulled() == sha256(OLD)
    reply = ask(house.daemon.address, "HEAD", TAG.through)
    assert "is pinned by whoever runs this proxy" in reply.headers["Warning"]
    with restarted(house, tmp_path).daemon as daemon:
        again = House(daemon, Operator.of(daemon, tmp_path), house.fake)
        assert again.pulled() == sha256(OLD)
        assert [pin["image"] for pin in again.says("tag", "pins")] == [NAME]
        assert again.says("tag", "unpin", NAME)["answer"]["digest"] == sha256(NEW)
        assert again.pulled() == sha256(NEW)


def test_what_is_pinned_stays_whatever_room_is_needed(house: House) -> None:
    house.moves()
    assert house.says("tag", "rollback", NAME)["digest"] == sha256(OLD)
    assert house.operator.runs("warm", f"{REGISTRY}/team/app@{sha256(OLD)}").status == 0
    assert house.says("tag", "pin", NAME, sha256(OLD))["complete"]
    for number in range(10, 30):
        other = Filler(MEBIBYTE, seed=number)
        house.fake.script(blob(other).path, ranged(other))
        assert fetch(house.daemon.address, blob(other).through).digest == other.digest
    whole = house.daemon.cache.whole()
    assert {sha256(OLD), LAYERS[0].digest} <= set(whole)
    # Its registry has lost it.
    house.fake.stop()
    assert house.pulled() == sha256(OLD)
    assert fetch(house.daemon.address, blob(LAYERS[0]).through).digest == LAYERS[0].digest


def test_what_rules_would_say_is_told_and_is_what_clients_are_answered(house: House, tmp_path: Path) -> None:
    house.moves()
    with restarted(house, tmp_path, RULES).daemon as daemon:
        again = House(daemon, Operator.of(daemon, tmp_path), house.fake)
        assert [rule["does"] for rule in again.says("rules", "list")] == ["deny", "minimum age 3 d"]
        reply = ask(daemon.address, "GET", TAG.through)
        assert reply.status == 403
        asked = len(house.fake.seen.requests(TAG.path))
        found = again.says("rules", "test", NAME, "--client", "192.0.2.7")
        assert len(house.fake.seen.requests(TAG.path)) == asked
        assert (found["decides"], found["answer"]["outcome"]) == ("three days", "too-young")
        # Behind it a client is told the id of its request.
        assert json.loads(reply.body)["errors"][0]["message"].startswith(found["answer"]["error"])
        assert [trial["outcome"] for trial in found["trials"]] == ["denied"]
        done = again.operator.runs("tag", "pin", NAME)
        assert (done.status, "is answered by nothing now" in done.err) == (1, True)
        assert again.operator.runs("tag", "pin", NAME, sha256(NEW)).status == 0
        assert again.pulled() == sha256(NEW)


def test_what_is_done_is_audited(house: House, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with restarted(house, tmp_path, f'[audit]\nfile = "{file}"\n').daemon as daemon:
        again = House(daemon, Operator.of(daemon, tmp_path), house.fake)
        again.moves()
        for words in (("tag", "pin", NAME), ("tag", "rollback", NAME), ("tag", "unpin", NAME)):
            assert again.operator.runs(*words).status == 0

        def actions() -> list[str]:
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            return [f"{line['method']} {line['path'].partition('?')[0]}" for line in lines if line["site"] == "admin"]

        until(lambda: len(actions()) >= 3, found=actions)
        assert actions() == ["POST /tags/pins", "POST /tags/rollback", "DELETE /tags/pins"]


def test_a_pin_of_the_file_counts_first(house: House, tmp_path: Path) -> None:
    house.moves()
    pins = f'[pins]\n"{NAME}" = "{sha256(OLD)}"\n'
    with restarted(house, tmp_path, pins).daemon as daemon:
        again = House(daemon, Operator.of(daemon, tmp_path), house.fake)
        assert again.pulled() == sha256(OLD)
        done = again.operator.runs("tag", "unpin", NAME)
        assert (done.status, "below [pins]" in done.err) == (1, True)
