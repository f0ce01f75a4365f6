from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from crproxy.config import Clients, Config, Page
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.policy.routing import Names
from crproxy.web.page import State
from crproxy.web.page.state import Certificate, Fleet, Node, Storage, Upstream
from tests.web.conftest import NAMES, Browse, Browser, Received

HTML = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
CHINESE = "Accept-Language: zh-CN,zh;q=0.9"
UNKNOWN = "evil.example"


def text(received: Received) -> str:
    """What somebody reads, without the markup."""
    body = re.sub(r"<template.*?</template>|</?(?:mark|wbr)>", "", received.body.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def converted(browser: Browser, pasted: str, more: str = "", **how: Any) -> Any:
    received = browser.get(f"/convert?image={quote(pasted)}{more}", **how)
    assert (received.status, received.one("Content-Type")) == (200, "application/json")
    return json.loads(received.body)


class TestPage:
    def test_a_browser_gets_a_page(self, browser: Browser) -> None:
        received = browser.get("/", HTML)
        assert (received.status, received.one("Content-Type")) == (200, "text/html; charset=utf-8")
        assert b'<html lang="en">' in received.body
        assert received.one("Vary") == "Accept, Accept-Language"

    @pytest.mark.parametrize("name", ["Accept", "Accept-Language"])
    def test_any_byte_may_be_in_a_preference(self, browser: Browser, name: str) -> None:
        assert browser.get("/", f"{name}: \xff\xfe").status == 200

    def test_it_is_answered_without_a_script(self, browser: Browser) -> None:
        read = text(browser.get("/?image=quay.io/org/app:v1", HTML))
        assert "docker pull cr.test/quay.io/org/app:v1" in read
        assert "docker pull quay.cr.test/org/app:v1" in read

    def test_head_has_no_body(self, browser: Browser) -> None:
        received = browser.get("/", HTML, method="HEAD")
        assert (received.status, received.body) == (200, b"")
        assert received.one("Content-Type") == "text/html; charset=utf-8"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    @pytest.mark.parametrize("target", ["/", "/convert"])
    def test_it_can_only_be_read(self, browser: Browser, method: str, target: str) -> None:
        received = browser.get(target, HTML, "Content-Length: 0", method=method)
        assert (received.status, received.one("Allow")) == (405, "GET, HEAD")

    def test_nothing_is_allowed_but_what_is_served_from_here(self, browser: Browser) -> None:
        received = browser.get("/", HTML)
        policy = received.one("Content-Security-Policy") or ""
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert received.one("X-Content-Type-Options") == "nosniff"
        assert received.one("Referrer-Policy") == "no-referrer"
        assert received.one("Set-Cookie") is None

    def test_there_is_no_inline_script_or_style(self, browser: Browser) -> None:
        body = browser.get("/?image=nginx", HTML).body.decode()
        assert re.findall(r"<script[^>]*>(.*?)</script>", body, re.DOTALL) == [""]
        assert "<style" not in body
        assert not re.search(r"\s(?:style|on[a-z]+)=", body)

    def test_all_that_it_needs_is_here(self, browse: Browse) -> None:
        body = browse().get("/", HTML).body.decode()
        needed = re.findall(r'(?:src|href)="(/[^"]+)"', body)
        assert len(set(needed)) >= 3
        for target in needed:
            assert browse().get(target, HTML).status == 200
        assert not re.search(r'(?:src|href|action)="(?:https?:|//)', body)

    @pytest.mark.parametrize("pasted", ['"><script>alert(1)</script>', "'><img src=x>", "{{7*7}}", "</template>"])
    def test_what_is_pasted_is_escaped(self, browser: Browser, pasted: str) -> None:
        body = browser.get(f"/?image={quote(pasted)}", HTML).body.decode()
        assert pasted not in body.replace("</template>\n", "") or pasted == "{{7*7}}"
        assert 'value="49"' not in body
        assert body.count("<script") == 1
        assert body.count("<template") == body.count("</template>") == 3

    def test_no_login_is_told_where_none_is_needed(self, browser: Browser) -> None:
        assert "docker login" not in text(browser.get("/", HTML))

    @pytest.mark.parametrize("query", ["&".join(f"a{i}=1" for i in range(40)), "a=1&" * 40])
    def test_a_query_with_too_many_fields_is_refused(self, browser: Browser, query: str) -> None:
        assert browser.get(f"/?{query}", HTML).status == 400

    @pytest.mark.parametrize("name", ["Accept", "Accept-Language"])
    def test_a_field_that_is_no_text_does_no_harm(self, browser: Browser, name: str) -> None:
        assert browser.get("/", f"{name}: \x80\xff").status == 200

    @pytest.mark.parametrize("query", ["image=%ff%fe", "image=%00", "image", "=&=", "%zz=%zz", "image=%ED%A0%80"])
    def test_a_query_that_is_no_text_does_no_harm(self, browser: Browser, query: str) -> None:
        assert browser.get(f"/?{query}", HTML).status == 200


class TestLanguages:
    def test_chinese_is_for_those_who_ask_for_it(self, browser: Browser) -> None:
        received = browser.get("/", HTML, CHINESE)
        assert '<html lang="zh-CN">' in received.body.decode()
        assert received.one("Content-Language") == "zh-CN"
        assert "从这里拉取任何镜像" in text(received)

    def test_a_link_leads_to_the_other_language_and_keeps_what_was_pasted(self, browse: Browse) -> None:
        body = browse().get("/?image=nginx%3A1", HTML).body.decode()
        (link,) = re.findall(r'id="language" href="([^"]+)"', body)
        assert html.unescape(link) == "?lang=zh&image=nginx%3A1"
        chosen = browse().get("/" + html.unescape(link), HTML).body.decode()
        assert '<html lang="zh-CN">' in chosen
        # and the form stays in it
        assert '<input type="hidden" name="lang" value="zh">' in chosen

    def test_mistakes_are_told_in_it(self, browse: Browse) -> None:
        assert "这不是镜像名" in text(browse().get("/?lang=zh&image=hello+world", HTML))
        assert converted(browse(), "hello world", "&lang=zh")["mistake"].startswith("这不是镜像名")


class TestHosts:
    def test_an_alias_names_its_registry(self, browse: Browse) -> None:
        assert "quay.cr.test stands for quay.io." in text(browse().get("/", HTML, host="quay.cr.test"))
        plain = browse().get("/", host="quay.cr.test:8443").body
        assert b"docker pull quay.cr.test:8443/ORG/NAME:TAG" in plain

    @pytest.mark.parametrize("target", ["/", "/?image=nginx", "/convert?image=nginx"])
    @pytest.mark.parametrize("accept", [HTML, "Accept: */*"])
    def test_s14_another_host_is_refused(self, browser: Browser, target: str, accept: str) -> None:
        assert browser.get(target, accept, host=UNKNOWN).status == 421

    def test_s14_without_a_host_nothing_is_shown(self, browser: Browser) -> None:
        browser.send(b"GET / HTTP/1.0\r\n\r\n")
        assert browser.received().status == 421

    @pytest.mark.parametrize("host", ["cr.test:5000", "CR.test.:5000"])
    def test_s14_the_host_is_written_as_it_is_configured(self, browser: Browser, host: str) -> None:
        (line, *_) = converted(browser, "quay.io/a/b", host=host)["lines"]
        assert line["text"] == "docker pull cr.test:5000/quay.io/a/b"

    def test_the_table_has_every_alias(self, browser: Browser) -> None:
        read = text(browser.get("/", HTML))
        assert "docker.io docker.cr.test/ quay.io quay.cr.test/" in read


class TestLocal:
    @pytest.fixture
    def config(self) -> Config:
        return Config(Names())

    def test_the_host_is_the_one_that_was_asked(self, browser: Browser) -> None:
        (line, mirror) = converted(browser, "nginx", host="localhost:5000")["lines"]
        assert line == {
            "kind": "prefix",
            "text": "docker pull localhost:5000/docker.io/nginx",
            "parts": ["docker pull ", "localhost:5000/", "docker.io/nginx"],
        }
        assert mirror["text"] == "docker pull nginx"

    def test_the_table_has_the_registries_that_people_know(self, browser: Browser) -> None:
        assert "quay.io localhost:5000/quay.io/" in text(browser.get("/", HTML, host="localhost:5000"))

    @pytest.mark.parametrize("host", ["<script>alert(1)</script>", "a b", '"', "x" * 400, "[::1"])
    @pytest.mark.parametrize("accept", [HTML, "Accept: */*"])
    def test_s14_a_host_that_is_no_name_is_not_repeated(self, browser: Browser, host: str, accept: str) -> None:
        received = browser.get("/?image=quay.io/a/b", accept, host=host)
        assert received.status in (200, 400)
        assert "<script>alert" not in received.body.decode()
        if received.status == 200:
            assert b"localhost:5000" in received.body


class TestConvert:
    def test_it_says_what_the_page_says(self, browse: Browse) -> None:
        document = converted(browse(), "GHCR.io/Org/App:V1")
        assert document == {
            "image": "ghcr.io/org/app:V1",
            "lines": [
                {
                    "kind": "prefix",
                    "text": "docker pull cr.test/ghcr.io/org/app:V1",
                    "parts": ["docker pull ", "cr.test/", "ghcr.io/org/app:V1"],
                }
            ],
            "notes": ["The names of images are lower case, so that is how it is written here."],
            "mistake": "",
            "status": "Ways to pull ghcr.io/org/app:V1: 1",
        }

    def test_nothing_is_no_mistake(self, browser: Browser) -> None:
        document = converted(browser, " ")
        assert (document["lines"], document["mistake"], document["status"]) == ([], "", "")

    def test_a_mistake_is_told(self, browser: Browser) -> None:
        document = converted(browser, "quay.io")
        assert document["lines"] == []
        assert document["mistake"] == document["status"] != ""

    def test_a_port_in_a_registrys_name_needs_an_alias(self, browser: Browser) -> None:
        assert "alias" in converted(browser, "reg.corp.example:5000/a/b")["mistake"]


class TestAccess:
    @pytest.fixture
    def config(self) -> Config:
        return Config(NAMES, access=Access(frozenset({Registry("quay.io")})), clients=Clients(users={"alice": b""}))

    def test_s1_what_is_not_served_is_said_to_be(self, browse: Browse) -> None:
        assert converted(browse(), "nginx")["mistake"] == "This proxy does not serve that image."
        assert converted(browse(), "quay.io/a/b")["mistake"] == ""

    def test_a_login_is_told_where_one_is_needed(self, browser: Browser) -> None:
        assert "Log in first: docker login cr.test" in text(browser.get("/", HTML))


class TestRedirect:
    @pytest.fixture
    def config(self) -> Config:
        return Config(NAMES, page=Page("https://wiki.example.com/registry"))

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("host", ["cr.test", "quay.cr.test"])
    def test_people_are_sent_on(self, browser: Browser, method: str, host: str) -> None:
        received = browser.get("/", HTML, method=method, host=host)
        assert (received.status, received.one("Location")) == (302, "https://wiki.example.com/registry")

    def test_clients_are_not(self, browse: Browse) -> None:
        assert browse().get("/").status == 200
        assert browse().get("/v2/", HTML).status == 200
        assert browse().get("/", HTML, host=UNKNOWN).status == 421


class TestState:
    @pytest.fixture
    def state(self) -> State:
        return State(
            hit_rate=0.934,
            bytes_stored=3 * 1024**3,
            bytes_allowed=20 * 1024**3,
            upstreams=(Upstream("quay.io", True), Upstream("ghcr.io", False)),
            certificates=(Certificate("cr.test", 1_800_000_000.0), Certificate("quay.cr.test")),
        )

    def test_it_is_nobodys_business(self, browser: Browser) -> None:
        read = text(browser.get("/", HTML))
        assert "How it is doing" not in read
        assert "2027-01-15" not in read

    class TestShown:
        @pytest.fixture
        def config(self) -> Config:
            return replace(Config(NAMES), page=Page(state=True))

        def test_it_is_shown_where_the_operator_says_so(self, browser: Browser) -> None:
            read = text(browser.get("/", HTML))
            assert "93 % answered from the cache" in read
            assert "3.0 GiB kept in the cache, of 20.0 GiB" in read
            assert "quay.io up ghcr.io down" in read
            assert "cr.test 2027-01-15 quay.cr.test none yet" in read

        def test_what_is_not_known_is_not_shown(self, browser: Browser) -> None:
            assert "served from the cache" not in text(browser.get("/", HTML))

        def test_a_node_alone_has_nothing_in_common(self, browser: Browser) -> None:
            read = text(browser.get("/", HTML))
            assert "Nodes" not in read
            assert "In common" not in read

        class TestOfAFleet:
            @pytest.fixture
            def state(self) -> State:
                nodes = (Node("node-1", "1.2", 3, 2 * 1024**3, is_this=True), Node("<node-2>", "1.3"))
                return State(fleet=Fleet(True, 7, nodes), storage=Storage(False, 12, 5 * 1024**2))

            def test_it_shows_who_is_there_and_what_they_have_in_common(self, browser: Browser) -> None:
                read = text(browser.get("/", HTML))
                assert "node-1 (this one) 1.2: 2.0 GiB kept, 3 transfers" in read
                assert "&lt;node-2&gt; 1.3: 0 B kept, 0 transfers" in read or "<node-2> 1.3: 0 B kept" in read
                assert "Valkey up Leases of this node 7" in read
                assert "Object store away: this node goes on alone To be uploaded 12 objects, 5.0 MiB" in read

            def test_in_the_other_language_as_well(self, browser: Browser) -> None:
                read = text(browser.get("/?lang=zh", HTML))
                assert "node-1（本节点）" in read
                assert "对象存储 不可用：本节点独自运行 等待上传 12 个对象，5.0 MiB" in read

        class TestOfAStoreAlone:
            @pytest.fixture
            def state(self) -> State:
                return State(storage=Storage(True, 0, 0))

            def test_there_are_no_nodes(self, browser: Browser) -> None:
                read = text(browser.get("/", HTML))
                assert "In common Object store up To be uploaded 0 objects, 0 B" in read
                assert "Valkey" not in read
