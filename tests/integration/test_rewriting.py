"""``crproxy rewrite`` and ``/rewrite`` with a real daemon: what they write is pulled, copied and built by real clients.

The names in the files are those of registries that only the daemon reaches from here: what a client gets can have come
by the rewritten name alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crproxy.config import Config
from crproxy.policy.external_address import external_address
from crproxy.policy.rewriting import Renaming
from crproxy.policy.rewriting import rewrite as rewritten
from tests.parts.buildah import Buildah
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.process import clean_environment
from tests.parts.registry import DockerRegistry
from tests.parts.requirements import need
from tests.parts.skopeo import Skopeo
from tests.policy.rewriting.files import FILES
from tests.policy.rewriting.test_files import before

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = pytest.mark.integration

PULLED = ["compose", "compose, anchors", "Deployment and CronJob", "Pods in JSON", "values", "GitLab CI", "Dockerfile"]
PULLED += ["Dockerfile of Windows", "script", "list", "web pages", "Nomad", "Zarf", "kustomization"]


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One real registry in the place of all."""
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


REGISTRIES = (
    *("docker.io", "quay.io", "ghcr.io", "gcr.io", "k8s.gcr.io", "mcr.microsoft.com", "nvcr.io", "public.ecr.aws"),
    *("registry.k8s.io", "docker.elastic.co"),
)


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry: DockerRegistry
) -> Iterator[Daemon]:
    config = configuration({name: Upstream(registry.url) for name in REGISTRIES})
    with Daemon(tmp_path_factory.mktemp("daemon"), config, workers=request.param) as daemon:
        yield daemon


def rewrite(daemon: Daemon, directory: Path, text: bytes, *options: str) -> bytes:
    """What the command makes of a text."""
    command = [str(Path(sys.executable).parent / "crproxy"), "rewrite", "--host", f"http://localhost:{daemon.port}"]
    done = subprocess.run(
        [*command, *options, "-"],
        input=text,
        capture_output=True,
        check=True,
        cwd=directory,
        env=clean_environment(directory),
    )
    return done.stdout


def names_in(daemon: Daemon, kind: str) -> set[str]:
    """The whole names that a file of this kind has once it was rewritten."""
    name, marked = FILES[kind]
    address = external_address(Config().names, f"localhost:{daemon.port}", secure=False)
    found = rewritten(before(marked), Renaming(address, Config().serves()), name)
    names = {change.after.removeprefix("docker://") for change in found.changes}
    # What a variable is a part of, or a registry alone, is no whole name; nor can a digest be made to be here.
    return {one for one in names if one.count("/") > 1 and not set("$@{") & set(one)}


@pytest.mark.parametrize("kind", PULLED)
def test_each_name_is_pulled(
    daemon: Daemon, registry: DockerRegistry, skopeo: Skopeo, layout: Layout, image: Image, kind: str, tmp_path: Path
) -> None:
    names = names_in(daemon, kind)
    assert names
    for name in names:
        # localhost:PORT/REGISTRY/PATH, and of Docker Hub what is short is below library/.
        host, _, path = name.partition("/")[2].partition("/")
        if host == "docker.io" and "/" not in path:
            path = f"library/{path}"
        skopeo.push(layout.source(image), registry.authority, path)
        assert Skopeo(tmp_path).pull(name) == image.digests


def test_a_copy_stays_a_copy(
    daemon: Daemon, registry: DockerRegistry, skopeo: Skopeo, layout: Layout, tmp_path: Path
) -> None:
    """The script runs, and what it copies comes through the proxy and goes where it went before."""
    skopeo.push(layout.source(layout.image()), registry.authority, "org/copied:v1")
    target = f"docker://{registry.authority}/org/target:v1"
    script = (
        "set -e\n"
        f"{need('skopeo')} --insecure-policy copy --src-tls-verify=false --dest-tls-verify=false --quiet \\\n"
        f"  docker://quay.io/org/copied:v1 {target}\n"
    )
    made = rewrite(daemon, tmp_path, script.encode(), "--as", "copy.sh")
    assert made.decode() == script.replace("docker://quay.io", f"docker://localhost:{daemon.port}/quay.io")
    subprocess.run(["sh", "-c", made.decode()], check=True, cwd=tmp_path, env=clean_environment(tmp_path))
    assert skopeo.raw_manifest(target.removeprefix("docker://"))


def test_a_dockerfile_is_built(
    daemon: Daemon, registry: DockerRegistry, skopeo: Skopeo, layout: Layout, tmp_path: Path
) -> None:
    """With an image in FROM, in the default of an ARG, and in COPY --from."""
    image = layout.image()
    for name in ("org/base:1", "org/files:1", "library/tools:1"):
        skopeo.push(layout.source(image), registry.authority, name)
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("a")
    dockerfile = (
        "ARG BASE=quay.io/org/base:1\n"
        "FROM --platform=linux/amd64 tools:1 AS tools\n"
        "COPY a /of-tools\n"
        "FROM ${BASE}\n"
        "COPY --from=tools /of-tools /of-tools\n"
        "COPY --from=ghcr.io/org/files:1 / /of-files/\n"
    )
    made = rewrite(daemon, tmp_path, dockerfile.encode())
    (context / "Dockerfile").write_bytes(made)
    here = f"localhost:{daemon.port}"
    assert made.decode() == (
        dockerfile.replace("quay.io/", f"{here}/quay.io/")
        .replace(" tools:1", f" {here}/docker.io/tools:1")
        .replace("ghcr.io/", f"{here}/ghcr.io/")
    )
    tar = tmp_path / "built.tar"
    Buildah(tmp_path).build(context, tar)
    with tarfile.open(tar) as built:
        names = [name.removeprefix("./") for name in built.getnames()]
    assert "of-tools" in names
    assert any(name.startswith("of-files/") for name in names)


@pytest.mark.parametrize("kind", FILES)
def test_the_page_and_the_command_make_the_same(daemon: Daemon, tmp_path: Path, kind: str) -> None:
    """As the documentation has it, by curl."""
    name, marked = FILES[kind]
    file = tmp_path / "file"
    file.write_bytes(before(marked).encode())
    url = f"http://localhost:{daemon.port}/rewrite?name={name}"
    command = [need("curl"), "--silent", "--fail", "--data-binary", f"@{file}", url]
    by_page = subprocess.run(command, capture_output=True, check=True, env=clean_environment(tmp_path)).stdout
    assert by_page == rewrite(daemon, tmp_path, file.read_bytes(), "--as", name)
    assert (by_page == file.read_bytes()) == (json.dumps(marked).count("\\u00ab") == 0)


def test_s33_nobody_else_waits_for_a_file_that_is_made_to_last(daemon: Daemon, tmp_path: Path) -> None:
    """64 KiB of what takes longest are answered, or refused, in less than a second of the daemon's time."""
    for pump in ("x=docker-image://", "image: nginx\n", "[", "&a ", "FROM ${", "docker run $("):
        file = tmp_path / "file"
        file.write_text((pump * 65536)[:65536])
        spent = daemon.cpu_seconds()
        command = [need("curl"), "--silent", "--data-binary", f"@{file}", f"http://localhost:{daemon.port}/rewrite"]
        subprocess.run(command, capture_output=True, check=True, env=clean_environment(tmp_path))
        assert daemon.cpu_seconds() - spent < 1
    daemon.assert_calm()
