from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.manifests import ACCEPT
from crproxy.oci.media_types import ANY, INDEX, JSON, is_media_type, passed_type


@pytest.mark.parametrize("media_type", [one.partition(";")[0] for one in ACCEPT[:-1]])
def test_what_is_asked_for_passes(media_type: str) -> None:
    assert passed_type(media_type, ANY) == media_type
    assert passed_type(f"{media_type};charset=UTF-8", ANY) == f"{media_type}; charset=utf-8"
    assert passed_type(f" {media_type} ", ANY) == media_type


@pytest.mark.parametrize("media_type", ["application/vnd.cncf.helm.config.v1+json", "Application/JSON"])
def test_so_does_any_other_json(media_type: str) -> None:
    assert passed_type(media_type, ANY) == media_type


@pytest.mark.security("S30")
@pytest.mark.parametrize(
    "said",
    [
        *(None, "", "x", "text/html", "text/plain", "image/svg+xml", "application/xml", "application/xhtml+xml"),
        *("application/vnd.x+xml", "application/vnd.x+jsonx", "text/json", "application/javascript", "multipart/mixed"),
        *(
            "application/json, text/html",
            "text/html;application/json",
            "application/vnd./html+json",
            "application/vnd.+json",
        ),
        *("application/vnd.x+json\r\nX: y", "application/vnd.\xff+json", "application/vnd." + "x" * 200 + "+json"),
    ],
)
def test_anything_else_is_what_we_say(said: str | None) -> None:
    assert passed_type(said, ANY) == ANY
    assert passed_type(said, INDEX) == INDEX


@pytest.mark.security("S30")
@pytest.mark.parametrize("parameters", ["charset=utf-7", "charset=utf-8; x=y", 'x="</script>"', ";", ""])
def test_parameters_do_not_pass(parameters: str) -> None:
    assert passed_type(f"application/json;{parameters}", ANY) == JSON


@given(st.text())
def test_what_passes_is_one_line_of_ascii(said: str) -> None:
    assert passed_type(said, ANY).isascii()
    assert passed_type(f"application/vnd.{said}+json", ANY).isprintable()


@pytest.mark.parametrize("value", [None, 5, "", "\ud800", "a\n", "é/x", "x" * 256])
def test_what_is_no_media_type(value: object) -> None:
    assert not is_media_type(value)
