from __future__ import annotations

import ssl

import pytest

from crproxy.transports.contexts import show
from tests.descriptors import descriptors


def test_what_is_no_certificate_is_refused_and_nothing_stays_open() -> None:
    context, before = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), descriptors()
    with pytest.raises(ssl.SSLError):
        show(context, b"nothing")
    assert descriptors() == before
