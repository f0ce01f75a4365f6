from __future__ import annotations

import pytest

from crproxy.policy.advice import Advice, advice_for


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("sha256:0 is passed on but not kept: [Errno 28] No space left on device", Advice.DISK_FULL),
        ("sha256:0 is not kept: there is no room for it", Advice.DISK_FULL),
        ("the index cannot be written: [Errno 30] Read-only file system", Advice.DISK),
        ("sha256:0 was damaged on disk: it has other bytes", Advice.DAMAGE),
        ("Valkey is away: connection refused", Advice.FLEET),
        ("docker.io answered 429: toomanyrequests", Advice.QUOTA),
        ("cr.example.com: no certificate: the CA answered 500", Advice.CERTIFICATE),
        ("quay.io is refused: it answered 401", Advice.LOGIN),
        ("the configuration was not read again, nothing has changed: x", Advice.CONFIGURATION),
        ("quay.io is not available: it timed out", Advice.UPSTREAM),
        ("something that nobody has thought of", Advice.OTHER),
        ("", Advice.OTHER),
    ],
)
def test_a_message_says_what_to_do(text: str, advice: Advice) -> None:
    assert advice_for(text) is advice
