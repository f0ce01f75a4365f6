"""Rules with real clients and a clock that the test sets: what a tag is answered when it moves upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.date import Date
from tests.parts.images import Image
from tests.parts.program import Failed
from tests.parts.raw_http import ask
from tests.parts.registry import DockerRegistry
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

REGISTRY = "registry.example.org"
REPOSITORY = "team/app"
HOUR = 3600
RULE = f"""
[[rules]]
name = "three days"
registries = ["{REGISTRY}"]
minimum_age = "72h"
"""


@dataclass
class Served:
    """An upstream with one tag, and a daemon in front of it whose clock the test sets.

    Arguments:
        more: what else its configuration says.
    """

    directory: Path
    registry: DockerRegistry
    skopeo: Skopeo
    layout: Layout
    more: str = RULE

    def __post_init__(self) -> None:
        self.date = Date(self.directory)
        self.daemon = self.start()

    def start(self) -> Daemon:
        config = configuration({REGISTRY: Upstream(self.registry.url)}) + self.more
        return Daemon(self.directory, config, environment=self.date.environment)

    def restart(self) -> None:
        self.daemon.stop()
        self.daemon = self.start()

    def at(self, hours: int) -> None:
        """Have it be so many hours after the start; real seconds go on besides."""
        self.date.set(hours * HOUR)

    def push(self) -> Image:
        image = self.layout.image()
        self.skopeo.push(self.layout.source(image), self.registry.authority, f"{REPOSITORY}:v1")
        return image

    @property
    def tag(self) -> str:
        return f"127.0.0.1:{self.daemon.port}/{REGISTRY}/{REPOSITORY}:v1"

    def by_digest(self, image: Image) -> str:
        return f"{self.tag.removesuffix(':v1')}@{image.manifest.digest}"

    def answered(self) -> str:
        """The digest that a HEAD of the tag is answered with; or the status."""
        reply = ask(self.daemon.address, "HEAD", f"/v2/{REGISTRY}/{REPOSITORY}/manifests/v1")
        return reply.headers["Docker-Content-Digest"] if reply.status == 200 else str(reply.status)


@pytest.fixture
def served(tmp_path: Path, skopeo: Skopeo, layout: Layout) -> Iterator[Served]:
    with DockerRegistry(tmp_path) as registry:
        made = Served(tmp_path, registry, skopeo, layout)
        yield made
        made.daemon.stop()


@pytest.mark.security("S38")
def test_a_tag_that_moved_answers_its_former_digest_to_real_clients(
    served: Served, docker: DockerEngine, containerd: Containerd, skopeo: Skopeo
) -> None:
    former = served.push()
    with pytest.raises(Failed, match="is refused until"):
        docker.pull(served.tag)
    served.at(73)
    assert docker.pull(served.tag).pulled_as == former.manifest.digest
    new = served.push()
    for hours in (74, 145):
        served.at(hours)
        assert docker.pull(served.tag).pulled_as == former.manifest.digest
        assert containerd.pull(served.tag) == former.digests
        assert skopeo.pull(served.tag) == former.digests
        # Whoever names a digest has decided.
        assert docker.pull(served.by_digest(new)).pulled_as == new.manifest.digest
        served.restart()
        assert served.answered() == former.manifest.digest
    served.at(147)
    assert docker.pull(served.tag).pulled_as == new.manifest.digest
    assert containerd.pull(served.tag) == new.digests


@pytest.mark.security("S38")
def test_what_was_put_right_in_time_is_never_answered(served: Served) -> None:
    former = served.push()
    assert served.answered() == "403"
    served.at(73)
    assert served.answered() == former.manifest.digest
    served.push()
    served.at(74)
    assert served.answered() == former.manifest.digest
    right = served.push()
    served.at(174)
    assert served.answered() == former.manifest.digest
    served.at(247)
    assert served.answered() == right.manifest.digest


def test_a_pin_of_the_file_counts_until_it_is_taken_out(served: Served, docker: DockerEngine) -> None:
    former = served.push()
    new = served.push()
    config = served.daemon.file.read_text()
    pin = f'[pins]\n"{REGISTRY}/{REPOSITORY}:v1" = "{former.manifest.digest}"\n'
    before = len(served.daemon.log)
    served.daemon.reload(config.replace('minimum_age = "72h"', "pinned = true"))
    served.daemon.wait_for_log("the configuration was read again", after=before)
    until(lambda: served.answered() == "403")
    with pytest.raises(Failed, match="serves only tags that are pinned"):
        docker.pull(served.tag)
    served.daemon.reload(config.replace('minimum_age = "72h"', "pinned = true") + pin)
    until(lambda: served.answered() == former.manifest.digest)
    assert docker.pull(served.tag).pulled_as == former.manifest.digest
    served.daemon.reload(config.replace('minimum_age = "72h"', ""))
    until(lambda: served.answered() == new.manifest.digest)
    assert docker.pull(served.tag).pulled_as == new.manifest.digest


@pytest.mark.security("S40")
def test_a_digest_that_is_denied_is_served_to_nobody_kept_or_not(
    served: Served, docker: DockerEngine, tmp_path: Path
) -> None:
    listed = tmp_path / "denied"
    listed.write_text("# nothing yet\n")
    image = served.push()
    layer = image.layers[0]
    config = served.daemon.file.read_text().partition("[[rules]]")[0]
    served.daemon.reload(f'{config}\n[access]\ndeny_digests_file = "{listed}"\n')
    until(lambda: served.answered() == image.manifest.digest)
    assert docker.pull(served.tag).pulled_as == image.manifest.digest
    blob = f"/v2/{REGISTRY}/{REPOSITORY}/blobs/{layer.digest}"
    assert ask(served.daemon.address, "GET", blob).status == 200
    deny(served, listed, f"{layer.digest} # CVE-2026-0001\n")
    for method in ("GET", "HEAD"):
        assert ask(served.daemon.address, method, blob).status == 403
    # Its manifest names it; a HEAD of that has no body to look into, and stays what it is.
    with pytest.raises(Failed, match="list of digests that are denied"):
        docker.pull(served.tag)
    deny(served, listed, "sha256:0123\n", "was not read again, the digests that were denied still are: line 1")
    assert ask(served.daemon.address, "GET", blob).status == 403
    deny(served, listed, f"{image.manifest.digest}\n")
    assert ask(served.daemon.address, "GET", blob).status == 200
    assert served.answered() == "403"
    with pytest.raises(Failed, match="list of digests that are denied"):
        docker.pull(served.by_digest(image))


def deny(served: Served, listed: Path, text: str, said: str = "1 digests are denied") -> None:
    """Write the list anew, at once, and wait until each worker has said that it has read it."""
    before, written = len(served.daemon.log), listed.with_suffix(".next")
    written.write_text(text)
    written.replace(listed)
    until(lambda: served.daemon.log[before:].count(said) == served.daemon.workers)


def test_a_rule_on_trial_says_what_it_would_have_done(served: Served, docker: DockerEngine) -> None:
    image = served.push()
    before = len(served.daemon.log)
    served.daemon.reload(served.daemon.file.read_text() + "enforce = false\n")
    served.daemon.wait_for_log("the configuration was read again", after=before)
    until(lambda: served.answered() == image.manifest.digest)
    assert docker.pull(served.tag).pulled_as == image.manifest.digest
    said = f"three days is not enforced; it would have refused as too young {REGISTRY}/{REPOSITORY}:v1"
    served.daemon.wait_for_log(said)
