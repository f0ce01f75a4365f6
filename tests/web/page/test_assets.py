from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest

from crproxy.web.page.assets import Assets
from tests.web.conftest import Browse

STATIC = files("crproxy.web.page") / "static"
NAMES = ["mark.svg", "page.css", "page.js"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("mark.svg", "image/svg+xml"),
        ("page.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_is_served_for_good_under_its_contents_name(browse: Browse, name: str, media_type: str) -> None:
    url = Assets().url(name)
    content = (STATIC / name).read_bytes()
    assert hashlib.sha256(content).hexdigest()[:12] in url
    received = browse().get(url)
    assert (received.status, received.body) == (200, content)
    assert received.one("Content-Type") == media_type
    assert received.one("X-Content-Type-Options") == "nosniff"
    assert received.one("Cache-Control") == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("target", ["/assets/", "/assets", "/assets/page.css", "/assets/page.000000000000.css"])
def test_nothing_else_is_there(browse: Browse, target: str) -> None:
    assert browse().get(target).status in (404, 405)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched_from_anywhere_else(name: str) -> None:
    text = (STATIC / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"// .*", "", text))


def test_a_file_can_only_be_read(browse: Browse) -> None:
    assert browse().get(Assets().url("page.js"), "Content-Length: 0", method="POST").status == 405
    head = browse().head(Assets().url("page.js"))
    assert (head.status, head.body) == (200, b"")
