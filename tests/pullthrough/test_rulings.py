from __future__ import annotations

import json

import pytest

from crproxy.oci.digests import Digest
from crproxy.oci.names import Tag
from crproxy.policy.minimum_age import Judgement, Sources
from crproxy.policy.rules import Rule
from crproxy.pullthrough.rulings import Outcome, by_age, first_denied
from tests.pullthrough.conftest import REPOSITORY

OLD, NEW, LAYER = (Digest.of(text) for text in (b"old", b"new", b"layer"))
RULE = Rule("three days", minimum_age=259200.0)
LAYERS = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(LAYER), "size": 5}]
MANIFEST = json.dumps({"schemaVersion": 2, "layers": LAYERS}).encode()


@pytest.mark.parametrize(
    ("answered", "outcome"), [(NEW, Outcome.SERVED), (OLD, Outcome.HELD), (None, Outcome.TOO_YOUNG)]
)
def test_what_comes_of_an_age(answered: Digest | None, outcome: str) -> None:
    judged = Judgement(answered, NEW, 0.0, Sources.SEEN, 259200.0)
    ruling = by_age(RULE, REPOSITORY, Tag("v1"), judged)
    assert (ruling.digest, ruling.outcome, ruling.judged) == (answered, outcome, judged)
    assert (ruling.error is None) == (answered is not None)
    if ruling.error is not None:
        assert "is refused until 1970-01-04" in ruling.error.message


@pytest.mark.parametrize(
    ("denied", "content", "found"),
    [
        ([], MANIFEST, None),
        ([OLD], MANIFEST, None),
        ([NEW], MANIFEST, NEW),
        ([NEW], None, NEW),
        ([LAYER], MANIFEST, LAYER),
        # What it refers to is seen where it is here.
        ([LAYER], None, None),
        ([LAYER], b"no JSON", None),
    ],
)
def test_what_is_denied_of_a_manifest(denied: list[Digest], content: bytes | None, found: Digest | None) -> None:
    assert first_denied(denied, NEW, content) == found
