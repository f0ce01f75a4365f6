from __future__ import annotations

import pytest

from crproxy.config import Options, Storage, load
from tests.configs import loaded, mistake

S3 = '[storage]\nurl = "s3://bucket/prefix"\n'


def with_secret(text: str, secret: str) -> Storage | None:
    return load(text, Options(), read_file={"/secret": secret}.__getitem__).storage


def test_without_a_word_there_is_none() -> None:
    assert loaded().storage is None
    assert loaded("[storage]\n").storage is None


def test_all_of_it() -> None:
    storage = with_secret(
        S3
        + """
        endpoint = "http://127.0.0.1:9000/"
        region = "eu-central-1"
        access_key_id = "id"
        secret_access_key_file = "/secret"
        size = "2T"
        redirect = true
        redirect_ttl = "5m"
        """,
        "key+/=\n",
    )
    assert storage == Storage(
        "s3://bucket/prefix", "http://127.0.0.1:9000", "eu-central-1", "id", "key+/=", 2 * 1024**4, True, 300.0
    )
    assert "key+" not in repr(storage)


def test_what_is_not_said_is_the_environments() -> None:
    assert loaded(S3).storage == Storage("s3://bucket/prefix", None, None, None, None, None, False, 600.0)


@pytest.mark.parametrize(
    ("url", "read", "kind"),
    [
        ("s3://bucket", "s3://bucket", "s3"),
        ("s3://bucket/", "s3://bucket", "s3"),
        ("s3://my.bucket-1/a/b_c/", "s3://my.bucket-1/a/b_c", "s3"),
        ("gs://bucket/a", "gs://bucket/a", "gs"),
        ("az://container/a", "az://container/a", "az"),
        ("file:///var/lib/tier", "file:///var/lib/tier", "file"),
        ("file:///var/lib/tier/", "file:///var/lib/tier", "file"),
    ],
)
def test_a_url_is_read(url: str, read: str, kind: str) -> None:
    storage = loaded(f'[storage]\nurl = "{url}"\n').storage
    assert storage is not None
    assert (storage.url, storage.kind) == (read, kind)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "s3:bucket",
        "s3://",
        "s3:///prefix",
        "http://bucket/prefix",
        "memory:///",
        "s3://user:secret@bucket/prefix",
        "s3://bucket:80/prefix",
        "s3://bucket/a//b",
        "s3://bucket/a/../b",
        "s3://bucket/ä",
        "s3://bucket/a b",
        "s3://bucket/a%2Fb",
        "s3://bucket/a?x",
        "s3://bucket/a?",
        "s3://bucket/a#x",
        "s3://bucket/" + "a" * 201,
        "s3://[bucket",
        "file://host/directory",
        "file://directory",
        "file:///",
    ],
)
def test_a_url_that_is_none_is_a_mistake(url: str) -> None:
    assert mistake(f'[storage]\nurl = "{url}"\n').startswith("line 2: storage.url: ")


def test_which_urls_there_are_is_said() -> None:
    assert "s3://" in mistake('[storage]\nurl = "bucket"\n')


def test_it_has_a_url() -> None:
    assert mistake('[storage]\nsize = "1T"\n').startswith("storage.url: without it nobody knows which store is meant")


@pytest.mark.parametrize(
    "endpoint",
    ["s3.example.com", "https://s3.example.com/path", "https://u:p@s3.example.com", "ftp://x", "https://x?y"],
)
def test_an_endpoint_that_is_none_is_a_mistake(endpoint: str) -> None:
    said = mistake(f'{S3}endpoint = "{endpoint}"\n')
    assert said.startswith("line 3: storage.endpoint: ")
    assert ":p@" not in said


@pytest.mark.parametrize(
    "endpoint", ["https://s3.example.com", "https://s3.example.com:443", "https://[2001:db8::1]:9000"]
)
def test_an_endpoint_is_read(endpoint: str) -> None:
    storage = loaded(f'{S3}endpoint = "{endpoint}"\n').storage
    assert storage is not None
    assert storage.endpoint == endpoint.removesuffix(":443")


@pytest.mark.parametrize("key", ["endpoint", "region", "access_key_id"])
def test_what_is_of_s3_goes_with_no_other(key: str) -> None:
    said = mistake(f'[storage]\nurl = "gs://bucket"\n{key} = "https://x"\n')
    assert said.startswith(f"line 3: storage.{key}: ")


def test_a_key_without_its_secret_is_a_mistake() -> None:
    assert mistake(f'{S3}access_key_id = "x"\n').startswith("line 3: storage.access_key_id: ")


@pytest.mark.parametrize("secret", ["", "\n", "two\nlines", "ä"])
def test_a_file_without_a_key_is_a_mistake(secret: str) -> None:
    text = f'{S3}access_key_id = "x"\nsecret_access_key_file = "/secret"\n'
    with pytest.raises(Exception, match=r"line 4: storage\.secret_access_key_file: there is no key in it") as raised:
        with_secret(text, secret)
    assert "lines" not in str(raised.value)


def test_a_directory_cannot_be_redirected_to() -> None:
    said = mistake('[storage]\nurl = "file:///tier"\nredirect = true\n')
    assert said.startswith("line 3: storage.redirect: ")


def test_nobody_signs_for_longer_than_a_week() -> None:
    assert loaded(f'{S3}redirect_ttl = "7d"\n').storage is not None
    assert mistake(f'{S3}redirect_ttl = "8d"\n').startswith("line 3: storage.redirect_ttl: ")


def test_a_secret_is_in_no_table() -> None:
    assert "did you mean secret_access_key_file?" in mistake(f'{S3}secret_access_key = "x"\n')
