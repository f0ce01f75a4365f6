from __future__ import annotations

import pytest

from crproxy.oci.manifests import ACCEPT, MANIFEST_LIMIT


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ],
)
def test_every_kind_that_clients_pull_is_asked_for_without_a_handicap(media_type: str) -> None:
    assert media_type in ACCEPT


def test_what_is_not_invented_yet_is_accepted_last() -> None:
    assert ACCEPT[-1] == "*/*;q=0.5"


def test_no_kind_is_asked_for_twice() -> None:
    assert len({kind.partition(";")[0] for kind in ACCEPT}) == len(ACCEPT)


def test_a_manifest_has_four_mebibytes_at_the_most() -> None:
    assert MANIFEST_LIMIT == 4194304
