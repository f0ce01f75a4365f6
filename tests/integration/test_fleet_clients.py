"""Every client and every way to ask of test_ways.py, of a node with an empty disk, while no registry answers.

What it gives another node has fetched, which is gone as well: there is the object store alone.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_fleet import is_in
from tests.integration.test_ways import (  # noqa: F401  # fixtures, and tests that are run with these here
    BUILT_IN,
    DOMAIN,
    SHELVES,
    Proxy,
    docker_there,
    images,
    node,
    pushed,
    short_path,
    test_buildah_pulls_by_alias,
    test_containerd_pulls_by_an_alias_of_the_same_registry,
    test_containerd_pulls_from_every_registry_with_one_file,
    test_containerd_pulls_with_override_path,
    test_docker_pulls_by_alias,
    test_docker_pulls_by_its_mirror,
    test_docker_pulls_by_its_mirror_and_digest,
    test_docker_pulls_by_prefix,
    test_docker_pulls_by_the_base_domain_what_names_no_registry,
    test_podman_pulls_by_alias,
    test_podman_pulls_by_its_mirrors,
    test_skopeo_copies_by_alias,
)
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fleets import tables_of
from tests.parts.operator import Operator
from tests.parts.registry import DockerRegistry
from tests.parts.s3 import S3Server
from tests.parts.skopeo import Skopeo
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.integration.test_ways import Pushed
    from tests.parts.certificates import Authority
    from tests.parts.node import Node

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]


@pytest.fixture(scope="module")
def registries() -> Iterator[ExitStack]:
    """Ends them."""
    with ExitStack() as running:
        yield running


@pytest.fixture(scope="module")
def shelf(workers: int, tmp_path_factory: pytest.TempPathFactory, registries: ExitStack) -> dict[str, Upstream]:
    """A real registry in place of each, until ``proxy`` is there."""
    return {
        name: Upstream(registries.enter_context(DockerRegistry(tmp_path_factory.mktemp("registry"))).url)
        for name in SHELVES
    }


@pytest.fixture(scope="module")
def proxy(
    workers: int,
    tmp_path_factory: pytest.TempPathFactory,
    shelf: Mapping[str, Upstream],
    images: dict[str, Pushed],  # noqa: F811
    registries: ExitStack,
    authority: Authority,
    node: Node,  # noqa: F811
) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("fleet")
    certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
    with S3Server(tmp_path_factory.mktemp("s3")) as s3:

        def start(number: int) -> Daemon:
            (directory / str(number)).mkdir()
            config = configuration(shelf, domain=DOMAIN)
            config += "\n".join([*tables_of(directory, number, s3, None), ""])
            return Daemon(directory / str(number), config, certificate=certificate)

        with start(1) as first:
            skopeo = Skopeo(tmp_path_factory.mktemp("skopeof"), node)
            for each in images.values():
                assert skopeo.pull(Proxy(first).by_alias(each)) == each.image.digests
            operator = Operator.of(first, directory)
            until(lambda: " 0 objects to be uploaded" in operator.runs("fleet", "status").out)
            assert all(is_in(s3, digest) for each in images.values() for digest in each.image.digests)
        registries.close()
        with start(2) as second:
            yield Proxy(second)
