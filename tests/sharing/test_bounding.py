from __future__ import annotations

from crproxy.sharing.bounding import drop_oldest


def test_the_oldest_go_first() -> None:
    kept = dict.fromkeys(range(10_003))
    drop_oldest(kept)
    assert (len(kept), next(iter(kept))) == (10_000, 3)
    drop_oldest(kept)
    assert len(kept) == 10_000
