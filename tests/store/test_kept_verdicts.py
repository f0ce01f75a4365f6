from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.kept_verdicts import KeptVerdicts
from tests.memory import ended
from tests.stores import make_index

A, B = (Digest.of(content) for content in (b"a", b"b"))
REPOSITORY = Registry("quay.io").repository("org/name")


def test_what_is_signed_is_known_at_once_and_for_good(tmp_path: Path) -> None:
    path, clock = tmp_path / "index.sqlite", Clock()
    index = make_index(path, clock.seconds)
    verdicts = KeptVerdicts(index)
    assert not verdicts.signed(REPOSITORY, A, "me")
    verdicts.note(REPOSITORY, A, "me", 5.0)
    assert verdicts.signed(REPOSITORY, A, "me")
    ended(index.flush())
    index.close()
    verdicts = KeptVerdicts(make_index(path, clock.seconds))
    assert verdicts.signed(REPOSITORY, A, "me")
    assert not verdicts.signed(REPOSITORY, A, "somebody else")
    assert not verdicts.signed(REPOSITORY, B, "me")
    assert not verdicts.signed(Registry("ghcr.io").repository("org/name"), A, "me")
