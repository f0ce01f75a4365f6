"""The S3 server of the tests is one: it can be lost, and is found again where it was, with what it had."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.parts.s3 import S3Server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_it_lets_nobody_in_without_a_key(tmp_path: Path) -> None:
    with S3Server(tmp_path) as server, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.endpoint}/{server.bucket}/key")
    assert refused.value.code == 403
    refused.value.close()


def test_it_is_killed_and_started_again_at_the_same_address(tmp_path: Path) -> None:
    with S3Server(tmp_path) as server:
        server.kill()
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(server.endpoint)
        server.start_again()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(server.endpoint)
        refused.value.close()
