"""What is behind the admin socket beside aliases and certificates: /cache and /warm, over the real site in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from crproxy import __version__
from crproxy.admin.cache_resources import CacheResource
from crproxy.admin.site import make_admin_site
from crproxy.admin.warm_resource import WarmResource
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.routing import Names
from crproxy.pullthrough.warming import Warming
from crproxy.store.entries import Entry, View
from crproxy.store.inventory import Inventory
from crproxy.store.pinning import Pins
from tests.logs import Log, LogWithRequests
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.pullthrough.conftest import Client
from tests.store.shelving import Shelving
from tests.stores import make_store, pull_through, threads
from tests.web.conftest import Browser, Received

REPOSITORY = Registry("quay.io").repository("org/app")
LAYER = b"layer" * 10
NOWHERE = Digest.of(b"nowhere")


class AdminClient:
    """The admin socket of a daemon whose upstream says what the test wants."""

    def __init__(self, path: Path) -> None:
        self.network = Network()
        clock: Clock = self.network.clock
        clock.advance(1_000_000)
        self.store = make_store(path, clock)
        self.shelving = Shelving(self.store)
        self.client = Client(clock)
        self.denied: set[Repository] = set()
        warming = Warming(pull_through(self.client, self.store, clock), self.store, self._check, clock)
        inventory = Inventory(path / "index.sqlite", self.store.blobs)
        # What tags are pinned to.
        self.answering: set[tuple[Repository, Digest]] = set()
        pins = Pins(self.store.index, inventory, threads, lambda: self.answering)
        resources = {
            "cache": CacheResource(self.store, inventory, threads, Names, clock, pins),
            "warm": WarmResource(warming, Names, clock),
        }
        self.site = make_admin_site(
            dict, lambda label, registry: pytest.fail("not asked"), lambda: succeed([]), clock, resources=resources
        )

    def open(self, method: str, target: str, body: str = "") -> Browser:
        browser = Browser(self.site, self.network)
        browser.send(f"{method} {target} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        return browser

    def ask(self, method: str, target: str, body: str = "") -> Received:
        browser = self.open(method, target, body)
        for _ in range(50):
            for source in list(self.client.blobs.values()):
                while source._waiting:
                    source.send_all()
            self.network.advance(0.1)
        return browser.received()

    def json(self, method: str, target: str, status: int = 200) -> Any:
        received = self.ask(method, target)
        assert (received.status, received.one("Content-Type")) == (status, "application/json")
        return json.loads(received.body)

    def warm(self, **wish: Any) -> list[dict[str, Any]]:
        received = self.ask("POST", "/warm", json.dumps(wish))
        assert (received.status, received.one("Content-Type")) == (200, "application/x-ndjson")
        return [json.loads(line) for line in received.body.splitlines()]

    def publish(self) -> Digest:
        described = {"mediaType": "x", "digest": str(self.client.holds(LAYER)), "size": len(LAYER)}
        return self.client.tagged(Tag("v1"), json.dumps({"layers": [described]}).encode())

    def _check(self, repository: Repository) -> None:
        if repository in self.denied:
            raise RegistryError(ErrorCode.DENIED, "not served")


@pytest.fixture
def client(tmp_path: Path) -> AdminClient:
    return AdminClient(tmp_path)


def test_the_version_is_told(client: AdminClient) -> None:
    assert client.json("GET", "/version") == {"version": __version__}


# /cache


def test_how_much_is_kept(client: AdminClient) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    usage = client.json("GET", "/cache")
    stored = client.store.index.bytes_stored()
    assert (usage["bytes"], usage["budget"], usage["by_registry"]) == (stored, 1 << 30, {"quay.io": stored})


def test_what_was_used_just_now_is_known(client: AdminClient) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    client.network.advance(100)
    client.store.read(Entry(Digest.of(LAYER)))
    (image,) = client.json("GET", "/cache/images")
    assert image["used"] == pytest.approx(1_000_100)


def test_images_are_listed(client: AdminClient) -> None:
    digest = client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    client.shelving.image(View(Registry("ghcr.io").repository("a/b"), "account"), b"x", tag="v2")
    first, second = client.json("GET", "/cache/images")
    assert (first["image"], first["private"]) == ("ghcr.io/a/b:v2", True)
    assert second == {
        "image": "quay.io/org/app:v1",
        "repository": "quay.io/org/app",
        "reference": "v1",
        "digest": str(digest),
        "bytes": client.store.index.size(Entry(digest)) + len(LAYER) + 2,  # type: ignore[operator]
        "used": 1_000_000,
        "complete": True,
        "platforms": [],
        "private": False,
        "pinned": False,
    }


@pytest.mark.parametrize(
    ("pattern", "count"), [("app", 1), ("quay.io/*", 1), ("quay.io/org/app", 1), ("*v2", 0), ("[pq]*", 1), ("io", 1)]
)
def test_a_pattern_chooses(client: AdminClient, pattern: str, count: int) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    assert len(client.json("GET", f"/cache/images?pattern={pattern}")) == count


def test_an_image_is_removed(client: AdminClient) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    stored = client.store.index.bytes_stored()
    assert client.json("DELETE", "/cache/images?image=quay.io/org/app:v1") == {
        "removed": "quay.io/org/app:v1",
        "tags": ["v1"],
        "freed_bytes": stored,
        "freed_contents": 3,
    }
    assert client.json("DELETE", "/cache/images?image=quay.io/org/app", 404)["error"].startswith(
        "quay.io/org/app is not"
    )


@pytest.mark.parametrize("image", ["", "UPPER", "quay.io/a@sha256:1"])
def test_what_names_no_image_is_told(client: AdminClient, image: str) -> None:
    assert client.json("DELETE", f"/cache/images?image={image}", 400)["error"]


def test_an_image_is_pinned_and_let_go(client: AdminClient) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    name = "quay.io/org/app:v1"
    assert client.json("POST", f"/cache/pins?image={name}") == {"pinned": name}
    (image,) = client.json("GET", "/cache/images")
    assert image["pinned"] is True
    client.store.evict(0)
    assert client.store.size(Entry(Digest.of(LAYER))) == len(LAYER)
    assert client.json("DELETE", f"/cache/pins?image={name}") == {"unpinned": name}
    assert client.json("DELETE", f"/cache/pins?image={name}", 404)["error"].startswith(f"{name} is not pinned")
    client.store.evict(0)
    assert client.store.size(Entry(Digest.of(LAYER))) is None


def test_what_is_not_here_is_not_pinned(client: AdminClient) -> None:
    assert "is not in the cache" in client.json("POST", "/cache/pins?image=quay.io/org/app:v1", 404)["error"]


@pytest.mark.parametrize("removed", ["quay.io/org/app:v1", "quay.io/org/app", "DIGEST"])
@pytest.mark.parametrize("pinned", ["quay.io/org/app:v1", "DIGEST"])
def test_what_is_pinned_is_not_removed(client: AdminClient, removed: str, pinned: str) -> None:
    digest = client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    by_name = {"DIGEST": f"quay.io/org/app@{digest}"}
    client.json("POST", f"/cache/pins?image={by_name.get(pinned, pinned)}")
    error = client.json("DELETE", f"/cache/images?image={by_name.get(removed, removed)}", 409)["error"]
    assert (
        error.partition(" (request ")[0]
        == f"{by_name.get(pinned, pinned)} is pinned: crproxy cache unpin {by_name.get(pinned, pinned)} lets it go"
    )
    assert client.store.size(Entry(Digest.of(LAYER))) == len(LAYER)


def test_all_is_verified(client: AdminClient) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    total = client.store.index.bytes_stored()
    client.store.blobs.keep(Entry(Digest.of(LAYER))).write_bytes(b"x" * len(LAYER))
    received = client.ask("POST", "/cache/verify?rate=1M")
    lines = [json.loads(line) for line in received.body.splitlines()]
    assert lines[0] == {"read": 0, "total": total}
    assert {"damaged": str(Digest.of(LAYER))} in lines
    assert lines[-1] == {"verified": True, "read": total, "dropped": 1}
    assert client.store.size(Entry(Digest.of(LAYER))) is None
    assert client.json("POST", "/cache/verify?rate=fast", 400)["error"].startswith("'fast' is not a size")


@pytest.mark.parametrize("name", ["quay.io/org/app:v1", "quay.io/org/app", "DIGEST"])
def test_one_image_is_verified(client: AdminClient, name: str) -> None:
    digest = client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    client.shelving.image(View(Registry("quay.io").repository("org/other")), b"other", tag="v1")
    for damaged in (LAYER, b"other"):
        client.store.blobs.keep(Entry(Digest.of(damaged))).write_bytes(b"x" * len(damaged))
    name = name.replace("DIGEST", f"quay.io/org/app@{digest}")
    received = client.ask("POST", f"/cache/verify?image={name}")
    first, *_, last = lines = [json.loads(line) for line in received.body.splitlines()]
    assert [line["damaged"] for line in lines if "damaged" in line] == [str(Digest.of(LAYER))]
    assert last == {"verified": True, "read": first["total"], "dropped": 1}
    assert client.store.size(Entry(Digest.of(b"other"))) == len(b"other")


@pytest.mark.parametrize(
    "name", ["quay.io/org/app:v9", "quay.io/org/none", f"quay.io/org/app@{Digest.of(b'x')}", "A b"]
)
def test_what_is_not_here_is_not_verified(client: AdminClient, name: str) -> None:
    client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    received = client.ask("POST", f"/cache/verify?image={quote(name)}")
    (line,) = map(json.loads, received.body.splitlines())
    assert "is not in the cache" in line["error"] or "A b" in line["error"]


def test_what_can_go_is_told_or_goes(client: AdminClient) -> None:
    entry = Entry(Digest.of(b"orphan"))
    client.shelving.manifest(View(REPOSITORY), b"{}", "v1")
    client.store.blobs.keep(entry).write_bytes(b"orphan")
    client.store.index.stored(entry, 6)
    client.network.advance(8 * 86400)
    found = {"evicted": [], "orphans": [{"content": str(entry), "bytes": 6}], "partials": [], "bytes": 6}
    assert client.json("POST", "/cache/gc?dry_run=1") == {"dry_run": True, **found}
    assert client.store.size(entry) == 6
    assert client.json("POST", "/cache/gc") == {"dry_run": False, **found, "freed_bytes": 6, "freed_contents": 1}
    assert client.store.size(entry) is None


def test_what_a_tag_is_pinned_to_is_not_removed(client: AdminClient) -> None:
    digest = client.shelving.image(View(REPOSITORY), LAYER, tag="v1")
    client.answering = {(REPOSITORY, digest)}
    for image in ("quay.io/org/app:v1", f"quay.io/org/app@{digest}", "quay.io/org/app"):
        error = client.json("DELETE", f"/cache/images?image={image}", 409)["error"]
        assert error.startswith(f"{REPOSITORY}@{digest} is what a tag is pinned to: crproxy tag unpin lets it go")
    client.answering = {(REPOSITORY, Digest.of(b"another")), (Registry("ghcr.io").repository("org/app"), digest)}
    assert client.json("DELETE", "/cache/images?image=quay.io/org/app:v1")["tags"] == ["v1"]


# /warm


def test_an_image_comes_and_each_step_is_told(client: AdminClient) -> None:
    digest = client.publish()
    *_, last, total = client.warm(images=["quay.io/org/app:v1"])
    assert last == {
        "number": 0,
        "image": "quay.io/org/app:v1",
        "state": "done",
        "done": len(LAYER),
        "total": len(LAYER),
        "fetched": len(LAYER),
        "digest": str(digest),
        "why": None,
    }
    assert total == {"warmed": 1, "failed": 0}
    assert client.store.size(Entry(Digest.of(LAYER))) == len(LAYER)


def test_names_that_are_none_fail_beside_others(client: AdminClient) -> None:
    client.publish()
    lines = client.warm(images=["UPPER", "quay.io/org/app:v1"], jobs=1)
    assert lines[-1] == {"warmed": 1, "failed": 1}
    (failed,) = [line for line in lines if line.get("state") == "failed"]
    assert (failed["number"], failed["image"]) == (0, "UPPER")
    assert "is not a repository's name" in failed["why"]


def test_s28_what_clients_are_refused_is_refused(client: AdminClient) -> None:
    client.publish()
    client.denied.add(REPOSITORY)
    *_, failed, total = client.warm(images=["quay.io/org/app:v1"])
    assert (failed["why"].partition(" (request ")[0], total) == ("not served", {"warmed": 0, "failed": 1})
    assert client.client.asked == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("{", "the body is not JSON"),
        ("[]", "the body is no JSON object"),
        ('{"images": "nginx"}', "images is a list of strings"),
        ('{"images": [3]}', "images is a list of strings"),
        ('{"platforms": ["x y"]}', "'x y' is no platform"),
        ('{"jobs": 0}', "jobs is a number from 1 to 64"),
        ('{"jobs": "many"}', "jobs is a number from 1 to 64"),
    ],
)
def test_a_wish_that_is_wrong_is_told(client: AdminClient, body: str, what: str) -> None:
    received = client.ask("POST", "/warm", body)
    assert received.status == 400
    assert json.loads(received.body)["error"].startswith(what)


@pytest.mark.parametrize(
    ("images", "logged"),
    [(["quay.io/org/app:v9"], "could not be pulled"), (["quay.io/not a name"], "cannot be warmed")],
)
def test_a_failure_has_the_id_that_the_log_has_it_by(client: AdminClient, images: list[str], logged: str) -> None:
    with LogWithRequests() as log:
        received = client.ask("POST", "/warm", json.dumps({"images": images}))
    request_id = log.request_of(logged)
    failed = [line for line in map(json.loads, received.body.splitlines()) if line.get("state") == "failed"]
    assert [line["why"].endswith(f" (request {request_id})") for line in failed] == [True]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/cache/images?image=quay.io/org/app"),
        ("POST", "/cache/verify?rate=fast"),
        ("POST", "/cache/push"),
        ("POST", "/warm"),
        ("PUT", "/aliases/quay"),
    ],
)
def test_so_has_what_else_is_not_done(client: AdminClient, method: str, target: str) -> None:
    with LogWithRequests() as log:
        received = client.ask(method, target, "[]" if target == "/warm" else "")
    told = json.loads(received.body)["error"]
    assert without_id(told, received.one("X-Request-Id"))
    assert log.request_of("the operator is told") == received.one("X-Request-Id")


def test_who_leaves_ends_it(client: AdminClient) -> None:
    client.publish()
    browser = client.open("POST", "/warm", '{"images": ["quay.io/org/app:v1"]}')
    assert client.client.blobs[Digest.of(LAYER)]._waiting
    with Log() as log:
        browser.leave()
        client.network.advance(1)
    assert log.complaints == []


def test_who_does_not_read_is_told_only_what_matters(client: AdminClient) -> None:
    client.publish()
    browser = client.open("POST", "/warm", '{"images": ["quay.io/org/app:v1"]}')
    body = client.client.blobs[Digest.of(LAYER)].answer()
    body.send(LAYER[:5])
    client.network.advance(0.3)
    *_, told = browser.received().body.splitlines()
    assert b'"state": "fetching", "done": 5, "total": 50' in told
    browser.stall()
    before = len(browser.wire.value())
    for byte in LAYER[5:20]:
        body.send(bytes([byte]))
        client.network.advance(0.3)
    assert len(browser.wire.value()) == before
    body.send(LAYER[20:])
    body.end()
    client.network.advance(1)
    assert browser.wire.value().endswith(b'{"warmed": 1, "failed": 0}\n')


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/warm"), ("POST", "/cache"), ("GET", "/cache/gc"), ("GET", "/cache/x"), ("PUT", "/cache/images")],
)
def test_there_is_nothing_else(client: AdminClient, method: str, target: str) -> None:
    assert client.ask(method, target).status in (404, 405)
