from __future__ import annotations

from crproxy.tls.renewal_information import RenewalInformation


def test_each_name_is_asked_about_as_often_as_the_ca_likes() -> None:
    consulted = RenewalInformation()
    assert consulted.due(("a", "b"), 0) == ["a", "b"]
    consulted.asked("a", 0, 100)
    consulted.asked("b", 0, None)
    assert consulted.due(("a", "b"), 99) == []
    assert consulted.due(("a", "b"), 100) == ["a"]
    assert consulted.due(("a", "b"), 24 * 3600) == ["a", "b"]
