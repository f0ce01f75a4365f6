"""``crproxy warm``: images pulled into the cache beforehand, which then come from there with the upstream gone."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Filler, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.images import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Image, Index, sha256
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import ask
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import content, error, manifest, ranged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.answers import Gate
    from tests.parts.daemon import Start
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Proxy:
    """A daemon, its operator, and the real registry behind it."""

    daemon: Daemon
    operator: Operator
    upstream: DockerRegistry

    def pulled(self, skopeo: Skopeo, name: str) -> frozenset[str]:
        return skopeo.pull(f"127.0.0.1:{self.daemon.port}/{REGISTRY}/{name}")


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def proxy(start: Start, upstream: DockerRegistry, tmp_path: Path) -> Proxy:
    daemon = start({REGISTRY: Upstream(upstream.url)})
    return Proxy(daemon, Operator.of(daemon, tmp_path), upstream)


def push(skopeo: Skopeo, layout: Layout, upstream: DockerRegistry, image: Image | Index, name: str) -> None:
    skopeo.push(layout.source(image), upstream.authority, name)


def test_a_list_with_a_missing_image_in_the_middle(
    proxy: Proxy, skopeo: Skopeo, layout: Layout, tmp_path: Path
) -> None:
    first, index, last = layout.image(), layout.index("amd64", "arm64"), layout.docker_image()
    for image, name in ((first, "team/first:v1"), (index, "team/index:v1"), (last, "team/last:v1")):
        push(skopeo, layout, proxy.upstream, image, name)
    (tmp_path / "list.txt").write_text(
        f"# what the cluster needs\n{REGISTRY}/team/first:v1\n\n{REGISTRY}/team/missing:v1  # gone\n"
        f"{REGISTRY}/team/index:v1\n{REGISTRY}/team/last:v1\n"
    )
    said = proxy.operator.runs("warm", "--file", "list.txt")
    assert said.status == 1
    assert said.out.splitlines()[-1] == "3 done, 1 failed"
    outcomes = dict(line.split(": ", 1) for line in said.out.splitlines()[:-1])
    assert outcomes.keys() == {f"{REGISTRY}/team/{name}:v1" for name in ("first", "missing", "index", "last")}
    assert outcomes[f"{REGISTRY}/team/missing:v1"].startswith("failed: ")
    assert REGISTRY in outcomes[f"{REGISTRY}/team/missing:v1"]
    proxy.upstream.stop()
    assert proxy.pulled(skopeo, "team/first:v1") == first.digests
    assert proxy.pulled(skopeo, "team/index:v1") == index.digests
    assert proxy.pulled(skopeo, "team/last:v1") == last.digests
    assert proxy.daemon.cache.is_agreed()


def test_what_is_here_is_not_fetched_again(start: Start, fake: FakeUpstream, layout: Layout, tmp_path: Path) -> None:
    image = layout.image()
    fake.publish("team/app", "v1", image)
    operator = Operator.of(start({REGISTRY: Upstream(fake.url)}), tmp_path)
    first = operator.runs("warm", f"{REGISTRY}/team/app:v1", "--json").lines()
    before = len(fake.seen.requests())
    second = operator.runs("warm", f"{REGISTRY}/team/app:v1", "--json").lines()
    assert [line[-1] for line in (first, second)] == [{"warmed": 1, "failed": 0}] * 2
    size = sum(one.size for one in image.blobs)
    assert [(line[-2]["total"], line[-2]["fetched"]) for line in (first, second)] == [(size, size), (size, 0)]
    assert fake.seen.requests()[before:] == []


def test_one_platform(proxy: Proxy, skopeo: Skopeo, layout: Layout) -> None:
    index = layout.index("amd64", "arm64", "s390x")
    push(skopeo, layout, proxy.upstream, index, "team/app:v1")
    said = proxy.operator.runs("warm", f"{REGISTRY}/team/app:v1", "--platform", "linux/arm64")
    assert (said.status, said.out.splitlines()[-1]) == (0, "1 done, 0 failed")
    wanted = {index.manifest.digest, *index.images[1].digests}
    assert set(proxy.daemon.cache.whole()) == wanted


def test_a_platform_that_there_is_not_is_named_with_those_that_there_are(
    proxy: Proxy, skopeo: Skopeo, layout: Layout
) -> None:
    push(skopeo, layout, proxy.upstream, layout.index("amd64", "arm64"), "team/app:v1")
    push(skopeo, layout, proxy.upstream, layout.image(architecture="amd64"), "team/one:v1")
    names = [f"{REGISTRY}/team/app:v1", f"{REGISTRY}/team/one:v1"]
    said = proxy.operator.runs("warm", "--platform", "linux/riscv64", *names)
    assert (said.status, said.out.splitlines()[-1]) == (1, "0 done, 2 failed")
    assert "is not there for linux/riscv64; it is for linux/amd64, linux/arm64" in said.out
    assert "team/one:v1 is for linux/amd64 alone" in said.out


def big_image(fake: FakeUpstream, layer: Filler, gate: Gate | None) -> str:
    """Publish an image of one large layer, which stops half way until the gate opens; return its name."""
    config = b'{"architecture": "amd64", "os": "linux"}'
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": OCI_LAYER, "digest": layer.digest, "size": len(layer)}],
    }
    body = json.dumps(document).encode()
    for reference in ("big", sha256(body)):
        fake.script(manifest_place(reference).path, manifest(body, OCI_MANIFEST))
    fake.script(blob(config).path, content(config))
    fake.script(blob(layer).path, ranged(layer, *([] if gate is None else [Stall(gate, 8 * MEBIBYTE)])))
    return f"{REGISTRY}/team/app:big"


def test_interrupted_it_goes_on_where_it_was(start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path) -> None:
    """The command is interrupted, then the daemon ends and begins again: only the rest is asked for."""
    layer = Filler(16 * MEBIBYTE)
    name = big_image(fake, layer, gate)
    data = tmp_path / "data"
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=data)
    with Operator.of(daemon, tmp_path).begins("warm", name, "--json") as warming:
        warming.wait_for(r'"done": [4-8]\d{6}')
        warming.signal(signal.SIGINT)
        warming.wait_for("interrupted: what has come is kept")
        assert warming.wait() == 1
    daemon.stop()
    ((partial, had),) = daemon.cache.partial().items()
    assert partial == layer.digest
    assert had >= 4_000_000
    gate.open()
    again = start({REGISTRY: Upstream(fake.url)}, data_dir=data)
    said = Operator.of(again, tmp_path).runs("warm", name, "--json")
    assert said.status == 0
    last = [line for line in said.lines() if "state" in line][-1]
    assert (last["state"], last["fetched"]) == ("done", len(layer) - had)
    (request,) = fake.seen.requests(blob(layer).path, "GET")[1:]
    assert request.values("Range") == [f"bytes={had}-"]


def test_a_terminal_shows_a_bar_while_it_comes(start: Start, fake: FakeUpstream, gate: Gate, tmp_path: Path) -> None:
    name = big_image(fake, Filler(16 * MEBIBYTE), gate)
    operator = Operator.of(start({REGISTRY: Upstream(fake.url)}), tmp_path)
    written, opened = "", False
    for piece in operator.watches("warm", name):
        written += piece
        if not opened and re.search(rf"{re.escape(name)}\S* .*━.*[4-8]\.\d/16\.\d MiB", _plain(written)):
            opened = True
            gate.open()
    assert opened, written
    assert f"{name}: done, 16.0 MiB, 16.0 MiB fetched, sha256:" in _plain(written)
    assert "1 done, 0 failed" in _plain(written)


def _plain(written: str) -> str:
    """What a terminal shows, without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)


def test_s28_what_clients_are_refused_is_refused_here(tmp_path: Path, fake: FakeUpstream, layout: Layout) -> None:
    """A list that denies, and an address that is not public: nobody is asked."""
    image = layout.image()
    fake.publish("team/app", "v1", image)
    fake.publish("team/secret", "v1", image)
    text = configuration({REGISTRY: Upstream(fake.url)}) + (
        f'[access]\ndeny = ["{REGISTRY}/team/secret"]\nmessage = "ask ops@example.com"\n'
        '[clients]\nprivileged = ["127.0.0.0/8"]\n'
    )
    internal = f"{fake.authority}/team/app:v1"
    with Daemon(tmp_path, text) as daemon:
        operator = Operator.of(daemon, tmp_path)
        said = operator.runs("warm", f"{REGISTRY}/team/app:v1", f"{REGISTRY}/team/secret:v1", internal)
        assert said.status == 1
        outcomes = dict(line.split(": ", 1) for line in said.out.splitlines()[:-1])
        assert outcomes[f"{REGISTRY}/team/app:v1"].startswith("done")
        assert "ask ops@example.com" in outcomes[f"{REGISTRY}/team/secret:v1"]
        assert outcomes[internal].startswith("failed: ")
        assert "an address where only names are asked" in outcomes[internal]
        assert fake.seen.requests("/v2/team/secret/manifests/v1") == []
        # It is there, for those whom it is for.
        assert ask(daemon.address, "GET", manifest_place("v1", "team/secret").through).status == 200


def test_what_refers_to_an_image_comes_too(start: Start, fake: FakeUpstream, layout: Layout, tmp_path: Path) -> None:
    image = layout.image()
    signature, notary = layout.artifact(image.manifest, "x/cosign"), layout.artifact(image.manifest, "x/notary")
    fake.publish("team/app", "v1", image)
    fake.publish("team/app", f"{image.manifest.digest.replace(':', '-')}.sig", signature)
    fake.publish("team/app", "notary", notary)
    listed = json.dumps({"schemaVersion": 2, "manifests": [notary.manifest.descriptor()]}).encode()
    fake.script(f"/v2/team/app/referrers/{image.manifest.digest}", manifest(listed, OCI_INDEX))
    daemon = start({REGISTRY: Upstream(fake.url)})
    operator = Operator.of(daemon, tmp_path)
    assert operator.runs("warm", f"{REGISTRY}/team/app:v1").status == 0
    assert set(daemon.cache.whole()) == image.digests
    assert operator.runs("warm", f"{REGISTRY}/team/app:v1", "--referrers").status == 0
    kept = set(daemon.cache.whole())
    assert kept >= image.digests | signature.digests | notary.digests
    # And the list of what refers to it.
    assert len(kept) == len(image.digests | signature.digests | notary.digests) + 1


def test_a_cache_that_is_too_small_is_told(start: Start, fake: FakeUpstream, layout: Layout, tmp_path: Path) -> None:
    small, big = layout.image(), Filler(9 * MEBIBYTE)
    fake.publish("team/small", "v1", small)
    name = big_image(fake, big, None)
    operator = Operator.of(start({REGISTRY: Upstream(fake.url)}, cache={"size": "9300K"}), tmp_path)
    said = operator.runs("warm", "--jobs", "1", f"{REGISTRY}/team/small:v1", name)
    assert said.status == 1
    assert "the cache is too small" in said.out
    operator = Operator.of(start({REGISTRY: Upstream(fake.url)}, cache={"size": "5M"}), tmp_path)
    said = operator.runs("warm", name)
    assert said.status == 1
    assert f"{big.digest} cannot be stored" in said.out


def test_an_image_of_which_a_part_is_lost_fails_alone(
    start: Start, fake: FakeUpstream, layout: Layout, tmp_path: Path
) -> None:
    image, other = layout.image(), layout.image()
    fake.publish("team/app", "v1", image)
    fake.publish("team/other", "v1", other)
    fake.script(f"/v2/team/app/blobs/{image.layers[0].digest}", error(404, "BLOB_UNKNOWN", "it was lost"))
    daemon = start({REGISTRY: Upstream(fake.url)})
    said = Operator.of(daemon, tmp_path).runs("warm", f"{REGISTRY}/team/app:v1", f"{REGISTRY}/team/other:v1")
    assert (said.status, said.out.splitlines()[-1]) == (1, "1 done, 1 failed")
    assert other.digests <= set(daemon.cache.whole())


def test_with_the_upstream_down_what_is_here_is_here(
    start: Start, fake: FakeUpstream, layout: Layout, tmp_path: Path
) -> None:
    fake.publish("team/app", "v1", layout.image())
    daemon = start({REGISTRY: Upstream(fake.url)}, cache={"tag_ttl": "1ms"})
    operator = Operator.of(daemon, tmp_path)
    assert operator.runs("warm", f"{REGISTRY}/team/app:v1").status == 0
    fake.stop()
    said = operator.runs("warm", f"{REGISTRY}/team/app:v1")
    assert said.status == 0
    assert "all was here" in said.out
    assert "served from the cache, last checked" in said.out
