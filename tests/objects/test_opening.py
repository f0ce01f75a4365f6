from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import obstore
import pytest
from obstore.store import GCSStore, LocalStore, S3Store

from crproxy.config import Storage
from crproxy.objects.opening import Patience, open_stores


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_a_directory_is_made_and_signs_nothing(tmp_path: Path) -> None:
    stores = open_stores(Storage(f"file://{tmp_path}/a/b"))
    assert isinstance(stores.reading, LocalStore)
    assert not stores.signs
    obstore.put(stores.writing, "v1/x%2Fy", b"content")
    assert bytes(obstore.get(stores.reading, "v1/x%2Fy").bytes()) == b"content"
    assert (tmp_path / "a" / "b" / "v1" / "x%2Fy").read_bytes() == b"content"


def test_a_server_of_ones_own_is_asked_with_what_is_written_for_it() -> None:
    storage = Storage("s3://bucket/a/b", "http://127.0.0.1:9000", "eu-central-1", "id", "secret")
    stores = open_stores(storage, Patience(1.0, 2.0, 3.0))
    both: list[Any] = [stores.reading, stores.writing]
    for store in both:
        assert isinstance(cast("object", store), S3Store)
        assert store.prefix == "a/b"
        assert store.config["bucket"] == "bucket"
        assert store.config["endpoint"] == "http://127.0.0.1:9000"
        assert store.config["region"] == "eu-central-1"
        assert store.config["access_key_id"] == "id"
        assert store.client_options["allow_http"] in (True, "true")
        assert "unsigned_payload" not in store.config
    assert stores.signs
    reading, writing = cast("Any", stores.reading), cast("Any", stores.writing)
    assert "read_timeout" in reading.client_options
    assert "read_timeout" not in writing.client_options, "no answer can be expected while a part is sent"


def test_with_tls_what_is_sent_is_not_hashed_once_more() -> None:
    store: Any = open_stores(Storage("s3://bucket", "https://s3.example.com")).writing
    assert store.config["unsigned_payload"] in (True, "true")
    assert "allow_http" not in store.client_options


@pytest.mark.parametrize("region", ["eu-west-1", None])
def test_what_is_not_written_is_the_environments(monkeypatch: pytest.MonkeyPatch, region: str | None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if region is not None:
        monkeypatch.setenv("AWS_REGION", region)
    store: Any = open_stores(Storage("s3://bucket")).reading
    signed = obstore.sign(store, "GET", "a", timedelta(seconds=60))
    region = region or "us-east-1"
    assert signed.startswith(f"https://s3.{region}.amazonaws.com/bucket/a?")
    assert "X-Amz-Credential=key%2F20" in signed
    assert f"%2F{region}%2Fs3%2F" in signed


def test_google_has_its_own() -> None:
    store = open_stores(Storage("gs://bucket/a")).reading
    assert isinstance(store, GCSStore)
    assert (store.prefix, store.config["bucket"]) == ("a", "bucket")
