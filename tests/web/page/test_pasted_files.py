"""``/rewrite``: a whole file, pasted into the page or sent by a command."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from urllib.parse import quote_plus

import pytest
from twisted.internet.address import IPv4Address
from twisted.web.server import Site

from crproxy.config import Config
from crproxy.config.limits import Limits
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.policy.units import Frequency
from crproxy.web.channel import BODY_LIMIT
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import NAMES, Browse, Browser, Received

HTML = "Accept: text/html,*/*;q=0.8"
JSON = "Accept: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
COMPOSE = b"a: {image: nginx} # \xc3\xa9\r\nb: {image: quay.io/x/y}"
REWRITTEN = b"a: {image: cr.test/docker.io/nginx} # \xc3\xa9\r\nb: {image: cr.test/quay.io/x/y}"


def post(browser: Browser, body: bytes, *lines: str, target: str = "/rewrite", host: str = "cr.test") -> Received:
    head = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *lines, "", ""]
    browser.send("\r\n".join(head).encode("latin-1") + body)
    return browser.received()


def form(text: str, **fields: str) -> bytes:
    return "&".join(f"{name}={quote_plus(value)}" for name, value in {"text": text, **fields}.items()).encode()


def result(received: Received) -> str:
    """What stands in the page as the file that was made."""
    (found,) = re.findall(r'id="rewrite-result".*?<code data-text>(.*?)</code>', received.body.decode(), re.DOTALL)
    return html.unescape(found)


class TestCommands:
    @pytest.mark.parametrize("kind", ["text/plain", "application/yaml", "application/x-www-form-urlencoded"])
    def test_a_file_comes_back_byte_for_byte_but_for_its_names(self, browser: Browser, kind: str) -> None:
        received = post(browser, COMPOSE, f"Content-Type: {kind}", "Accept: */*")
        assert (received.status, received.body) == (200, REWRITTEN)
        assert received.one("Content-Type") == "text/plain; charset=utf-8"
        assert received.one("X-Content-Type-Options") == "nosniff"

    def test_the_form_of_names_and_the_files_own_may_be_said(self, browser: Browser) -> None:
        received = post(browser, b"x nginx\nFROM nginx", target="/rewrite?form=alias&name=Dockerfile")
        assert received.body == b"x nginx\nFROM docker.cr.test/nginx"

    def test_at_an_alias_names_are_those_of_the_page(self, browser: Browser) -> None:
        assert b"cr.test/quay.io/x/y" in post(browser, COMPOSE, host="quay.cr.test").body

    def test_what_is_no_text_is_refused_in_words(self, browser: Browser) -> None:
        received = post(browser, b"image: caf\xe9")
        told = without_id(received.body.decode(), received.one("X-Request-Id"))
        assert (received.status, told) == (400, "That is no text in UTF-8.\n")

    @pytest.mark.parametrize("text", [b"", b"hello: world\n"])
    def test_what_has_no_image_comes_back_as_it_is(self, browser: Browser, text: bytes) -> None:
        received = post(browser, text)
        assert (received.status, received.body) == (200, text)

    def test_s14_another_host_is_refused(self, browser: Browser) -> None:
        assert post(browser, COMPOSE, host="evil.example").status == 421


class TestPage:
    def test_it_is_answered_without_a_script(self, browser: Browser) -> None:
        received = post(browser, form("image: nginx\r\n# <x>&"), FORM, HTML)
        assert received.status == 200
        assert result(received) == "image: cr.test/docker.io/nginx\r\n# <x>&"
        assert "Names rewritten: 1" in received.body.decode()
        policy = received.one("Content-Security-Policy") or ""
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy

    def test_the_form_that_was_chosen_stays(self, browser: Browser) -> None:
        received = post(browser, form("image: nginx", form="alias"), FORM, HTML)
        assert result(received) == "image: docker.cr.test/nginx"
        assert '<option value="alias" selected>' in received.body.decode()

    def test_it_stays_in_its_language(self, browser: Browser) -> None:
        received = post(browser, form("image: $X"), FORM, HTML, target="/rewrite?lang=zh")
        assert '<html lang="zh-CN">' in received.body.decode()
        assert "第 1 行：$X 保持不变：由没有默认值的变量决定" in received.body.decode()
        assert 'action="/rewrite?lang=zh#rewrite"' in received.body.decode()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("hello: world", "There is no image in that."),
            ("image: localhost/x", "Line 1: localhost/x stays as it is: its registry is at an address that this proxy"),
            ("x: 1\na: b: c\nimage: x\n", "From line 2 on this is no YAML"),
        ],
    )
    def test_what_cannot_be_is_said(self, browser: Browser, text: str, said: str) -> None:
        assert said in post(browser, form(text), FORM, HTML).body.decode()

    def test_the_address_alone_is_the_page(self, browser: Browser) -> None:
        received = browser.get("/rewrite", HTML)
        assert (received.status, b'id="rewrite-form"' in received.body) == (200, True)

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_nothing_else_can_be_done(self, browser: Browser, method: str) -> None:
        received = browser.get("/rewrite", "Content-Length: 0", method=method)
        assert (received.status, received.one("Allow")) == (405, "GET, HEAD, POST")

    @pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "</textarea><script>", "</code></pre><script>"])
    def test_s33_what_is_pasted_is_escaped(self, browser: Browser, text: str) -> None:
        received = post(browser, form(f"image: nginx # {text}"), FORM, HTML)
        assert received.body.count(b"<script") == 1
        assert result(received).endswith(text)


class TestScript:
    def test_it_is_told_what_the_page_says(self, browser: Browser) -> None:
        received = post(browser, b"a: {image: nginx}\nb: {image: $X}\n", JSON, "Content-Type: text/plain")
        assert received.one("Content-Type") == "application/json"
        assert json.loads(received.body) == {
            "text": "a: {image: cr.test/docker.io/nginx}\nb: {image: $X}\n",
            "changes": 1,
            "kept": ["Line 2: $X stays as it is: a variable without a default decides"],
            "unread": "",
            "mistake": "",
            "status": "Names rewritten: 1",
        }


class TestStrangers:
    @pytest.mark.parametrize(
        "line",
        [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Origin: https://evil.example",
            "Origin: null",
            "Origin: http://[::1",
        ],
    )
    def test_s33_another_site_puts_nothing_before_a_reader(self, browser: Browser, line: str) -> None:
        received = post(browser, form("image: nginx"), FORM, HTML, line)
        assert received.status == 403
        assert b"nginx" not in received.body

    @pytest.mark.parametrize("lines", [["Sec-Fetch-Site: same-origin"], ["Origin: https://cr.test"], []])
    def test_the_page_itself_may(self, browser: Browser, lines: list[str]) -> None:
        assert post(browser, form("image: nginx"), FORM, HTML, *lines).status == 200

    def test_s33_a_file_is_so_long_at_the_most(self, browse: Browse) -> None:
        assert post(browse(), b"#" * BODY_LIMIT).status == 200
        assert post(browse(), b"#" * (BODY_LIMIT + 1)).status == 413

    def test_s33_so_many_names_are_looked_at_and_no_more(self, browser: Browser) -> None:
        received = post(browser, b"nginx\n" * 1001)
        assert (received.status, b"too long" in received.body) == (400, True)

    def test_s33_a_form_has_few_fields(self, browser: Browser) -> None:
        assert post(browser, b"text=a" + b"&a=b" * 20, FORM, HTML).status == 400

    class TestLimited:
        @pytest.fixture
        def config(self) -> Config:
            return replace(Config(NAMES), limits=Limits(requests_per_client=Frequency(2, 60)))

        def test_s33_a_client_asks_as_often_as_it_may(self, site: Site, network: Network) -> None:
            def ask() -> Received:
                return post(Browser(site, network, IPv4Address("TCP", "192.0.2.7", 4321)), COMPOSE)

            assert [ask().status for _ in range(2)] == [200, 200]
            refused = ask()
            assert refused.status == 429
            assert int(refused.one("Retry-After") or "") > 0


class TestAccess:
    @pytest.fixture
    def config(self) -> Config:
        return Config(NAMES, access=Access(frozenset({Registry("quay.io")})))

    def test_s1_what_is_not_served_stays(self, browser: Browser) -> None:
        assert post(browser, COMPOSE).body == REWRITTEN.replace(b"cr.test/docker.io/", b"")
