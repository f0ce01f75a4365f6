from __future__ import annotations

from crproxy.policy.key_usage import key_usage


def test_what_is_named_is_allowed_and_nothing_else() -> None:
    signs = key_usage("key_cert_sign")
    assert (signs.key_cert_sign, signs.digital_signature, signs.crl_sign) == (True, False, False)
    assert (signs.key_encipherment, signs.key_agreement, signs.content_commitment) == (False, False, False)
    assert key_usage("digital_signature").digital_signature
