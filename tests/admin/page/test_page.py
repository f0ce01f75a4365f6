"""What the page shows and what its forms do, over the real site in memory."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote, urlencode

import bcrypt
import pytest

from crproxy.admin.page import Fill, Overview, Pull, Seen, Serving, Trouble, UpstreamState, User
from crproxy.admin.page.overview import Job
from crproxy.admin.printing import short_digest
from crproxy.config import Clients
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.policy.history import History, Totals
from crproxy.policy.rules import Rule, Rules
from crproxy.store.entries import Entry, View
from crproxy.store.tag_history import TagHistory
from crproxy.tls.plan import NameState, State
from crproxy.web.page.state import State as Public
from tests.logs import LogWithRequests
from tests.memory import ended
from tests.parts.request_ids import without_id

from .conftest import House, basic, text

VIEW = View(Registry("quay.io").repository("org/app"))
LAYER = b"layer" * 100
ACTIONS = ["remove", "pin", "unpin", "tag_pin", "tag_unpin", "tag_rollback", "warm", "verify", "verify_image"]
SCRIPT = "<script>alert(1)</script>"


def shown(house: House, **how: object) -> str:
    house.overview = replace(house.overview, **how)  # type: ignore[arg-type]
    return text(house.page())


class TestShowing:
    def test_a_fill_has_its_progress_and_who_waits(self, house: House) -> None:
        fill = Fill("quay.io/org/app", "sha256:" + "a" * 64, 512 * 1024, 2 * 1024**2, 1024.0)
        serving = Serving("bob", "quay.io/org/app", fill.digest, 10, 2 * 1024**2, 3.5)
        page = shown(house, seen=Seen((fill,), (serving,)))
        assert "512 KiB of 2.0 MiB, 1.0 KiB/s bob" in page
        assert "10 B of 2.0 MiB, 3 s" in page
        assert '<progress max="2097152" value="524288"' in house.page()

    def test_a_fill_of_unknown_size_has_none(self, house: House) -> None:
        page = shown(house, seen=Seen((Fill("quay.io/org/app", "sha256:" + "a" * 64, 10, None, 0.0),)))
        assert "10 B, 0 B/s nobody" in page
        assert "<progress" not in house.page()

    def test_many_are_counted(self, house: House) -> None:
        fills = tuple(Fill("quay.io/a/b", f"sha256:{n:064}", 1, 2, 0.0) for n in range(60))
        serving = tuple(Serving(f"u{n}", "quay.io/a/b", fills[0].digest, 1, 2, 0.0) for n in range(55))
        page = shown(house, seen=Seen(fills, serving))
        assert "and 10 more" in page
        assert "and 5 more" in page
        assert "and 50 more" in page

    def test_the_numbers_have_plots_and_tables(self, house: House) -> None:
        history = History()
        now = house.network.clock.seconds()
        history.note(Totals(), now)
        history.note(Totals(4, 3, 5 * 1024**3, 1024**3), now)
        page = shown(house, history=history, state=Public(hit_rate=0.75, bytes_stored=5, bytes_allowed=10))
        assert "75 % answered from the cache" in page
        assert "5 B kept, of 10 B" in page
        assert "5.0 GiB 1.0 GiB 75 %" in page
        assert house.page().count('<svg class="plot"') == 4
        # Each says what it is to those who do not see it.
        titles = re.findall(r'aria-labelledby="(plot-[^"]+)">\s*<title id="(plot-[^"]+)">', house.page())
        assert len(titles) == 4
        assert all(named == title for named, title in titles)

    def test_what_is_in_trouble_is_marked(self, house: House) -> None:
        upstreams = (
            UpstreamState("docker.io", True, 3, 100, (("GET manifests", 1_000_600.0),)),
            UpstreamState("quay.io", False),
            UpstreamState("ghcr.io"),
        )
        page = shown(house, upstreams=upstreams)
        assert "docker.io up GET manifests refused until 1970-01-12 13:56 UTC 3 of 100 left" in page
        assert "quay.io down says nothing" in page
        assert "ghcr.io not asked yet says nothing" in page
        assert house.page().count('<tr class="trouble">') == 2

    def test_errors_say_what_to_do(self, house: House) -> None:
        page = shown(house, seen=Seen(troubles=(Trouble("No space left on device", 999_940.0, 3),)))
        assert "No space left on device 1 min ago, 3 times Give the disk room" in page

    def test_certificates_have_issuer_end_and_trouble(self, house: House) -> None:
        states = (
            NameState("cr.test", State.VALID, 2_000_000.0),
            NameState("quay.cr.test", State.FAILED, None, "the CA answered 500"),
        )
        page = shown(house, certificates=states, issuers={"cr.test": "CN=Some CA"})
        assert "cr.test 1970-01-24 CN=Some CA valid" in page
        assert "quay.cr.test none yet – failed the CA answered 500" in page

    def test_users_are_listed(self, house: House) -> None:
        page = shown(house, users=(User("alice", True, 999_990.0), User("bob", False, None)))
        assert "alice admin 10 s ago" in page
        assert "bob not since the start" in page
        assert "Nobody has to log in here." in shown(house, users=None)

    def test_what_was_begun_is_shown(self, house: House) -> None:
        jobs = (
            Job("warm", "quay.io/a/b:v1", 999_999.0, 1, 2),
            Job("verify", "", 999_000.0, 5, 5, is_over=True),
            Job("warm", "quay.io/a/c:v1", 999_000.0, 0, 0, is_over=True, trouble="it is not there"),
        )
        page = shown(house, seen=Seen(jobs=jobs))
        assert "Fetch quay.io/a/b:v1 1 s ago 1 B of 2 B under way" in page
        assert "Verify all that is kept 16 min ago 5 B of 5 B done" in page
        assert "it is not there" in page

    def test_with_nothing_it_says_so(self, house: House) -> None:
        page = text(house.page())
        for said in ("Nothing is being fetched.", "Nothing is being served.", "There were none since the start."):
            assert said in page


class TestKept:
    def test_images_are_listed_with_who_pulled_them(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        pulls = {("quay.io/org/app", "v1"): Pull("bob", 999_999.0)}
        page = shown(house, seen=Seen(pulls=pulls))
        assert "quay.io/org/app:v1 complete" in page
        assert re.search(r"complete \d+ B 0 s ago bob Pin", page)

    def test_who_pulled_by_digest_is_known_as_well(self, house: House) -> None:
        digest = house.shelving.image(VIEW, LAYER, tag="v1")
        pulls = {("quay.io/org/app", str(digest)): Pull("al", 1.0), ("quay.io/org/app", "v1"): Pull("bob", 0.5)}
        assert " al Pin" in shown(house, seen=Seen(pulls=pulls))

    def test_they_are_searched_and_sorted(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="small")
        house.network.advance(10)
        house.shelving.image(VIEW, LAYER * 9, tag="large")
        house.network.advance(10)
        house.shelving.image(View(Registry("ghcr.io").repository("a/b")), b"x", tag="last")

        def names(query: str) -> list[str]:
            return re.findall(
                r'name="image" value="([^"]+)">\s*<button type="submit" class="do pin"', house.page(query)
            )

        def tags(query: str) -> list[str]:
            return [name.rpartition(":")[2] for name in names(query)]

        assert tags("") == tags("?sort=nonsense") == ["last", "large", "small"]
        assert tags("?sort=size") == ["large", "small", "last"]
        assert tags("?sort=name") == ["last", "large", "small"]
        assert tags("?q=quay.io/*&sort=name") == ["large", "small"]
        assert tags("?q=nothing") == []

    def test_there_are_fifty_on_a_page(self, house: House) -> None:
        for number in range(60):
            house.shelving.image(VIEW, b"%d" % number, tag=f"v{number:02}")
        first, second = house.page("?sort=name"), house.page("?sort=name&page=2")
        assert "1 to 50 of 60" in text(first)
        assert "51 to 60 of 60" in text(second)
        assert 'href="/admin?sort=name&amp;page=2#kept-title"' in first
        assert "51 to 60 of 60" in text(house.page("?sort=name&page=99"))
        assert house.get("/admin?page=x&sort=%00", basic("alice")).status == 200


class TestTags:
    def moves(self, house: House, *contents: bytes) -> list[Digest]:
        """Have a tag point there, one after the other, an hour for each."""
        store = house.shelving.store
        history = TagHistory(store.index, house.network.clock.seconds)
        digests = [house.shelving.image(VIEW, content) for content in contents]
        for digest in digests:
            history.point(VIEW, Tag("v1"), digest, asked_by="192.0.2.7")
            house.network.advance(3600)
            history.point(VIEW, Tag("v1"), digest)
        ended(store.index.flush())
        return digests

    def test_with_none_it_says_so(self, house: House) -> None:
        assert "No tag was seen to move." in text(house.page())
        assert "No tag is pinned." in text(house.page())

    def test_those_that_moved_are_told_the_latest_first(self, house: House) -> None:
        first, second, third = self.moves(house, b"1", b"2", b"3")
        shown = text(house.page())
        short = [short_digest(str(digest)) for digest in (first, second, third)]
        latest = f"quay.io/org/app:v1 asked by 192.0.2.7 60 min ago {short[1]} {short[2]} as its registry has it"
        assert latest in shown.replace("1 h ago", "60 min ago")
        assert f"{short[0]} {short[1]} it has moved since" in shown
        assert shown.index(latest.partition(" asked")[0]) < shown.index("it has moved since")

    def test_what_is_held_and_what_is_refused_is_marked(self, house: House) -> None:
        self.moves(house, b"1", b"2")
        rules = Rules((Rule("aged", minimum_age=5400.0),))
        house.current.config = replace(house.current.config, rules=rules)
        assert "refused by the rules" in text(house.page())
        rules = Rules((Rule("aged", minimum_age=3600.0),))
        house.current.config = replace(house.current.config, rules=rules)
        assert "as its registry has it" in text(house.page())
        store = house.shelving.store
        third = house.shelving.image(VIEW, b"3")
        TagHistory(store.index, house.network.clock.seconds).point(VIEW, Tag("v1"), third)
        ended(store.index.flush())
        assert "held until 1970-01-12" in text(house.page())

    def test_a_tag_is_rolled_back_pinned_and_let_go(self, house: House) -> None:
        first, second = self.moves(house, b"1", b"2")
        fields = urlencode({"token": house.token(), "image": "quay.io/org/app:v1"})
        for name, digest in (("tag_pin", second), ("tag_rollback", first)):
            received = house.post(name, fields)
            assert received.status == 200
            assert f"quay.io/org/app:v1 is pinned to {digest}." in text(received.body.decode())
            assert f"pinned to {short_digest(str(digest))}" in text(house.page())
        record = house.records[-2]
        assert (record.user, record.target, record.reference) == ("alice", "/admin/tag_rollback", "v1")
        assert 'id="tag-pins"' in house.page()
        assert "您" in text(house.post("tag_pin", f"{fields}&lang=zh").body.decode())
        assert house.post("tag_unpin", fields).status == 200
        assert house.post("tag_unpin", fields).status == 404
        assert "No tag is pinned." in text(house.page())

    def test_a_pin_of_the_file_is_not_changed_here(self, house: House) -> None:
        first, _ = self.moves(house, b"1", b"2")
        pins = {(VIEW.repository, Tag("v1")): first}
        house.current.config = replace(house.current.config, pins=pins)
        assert "in the configuration's file" in text(house.page())
        fields = urlencode({"token": house.token(), "image": "quay.io/org/app:v1"})
        assert house.post("tag_unpin", fields).status == 409


class TestActing:
    def test_an_image_is_removed(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        fields = urlencode({"token": house.token(), "image": "quay.io/org/app:v1"})
        received = house.post("remove", fields)
        assert received.status == 200
        assert "quay.io/org/app:v1 was removed." in text(received.body.decode())
        assert house.shelving.store.size(Entry(Digest.of(LAYER))) is None
        assert house.post("remove", fields).status == 404

    def test_an_image_is_pinned_and_let_go(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        fields = urlencode({"token": house.token(), "image": "quay.io/org/app:v1"})
        assert house.post("pin", fields).status == 200
        assert "pinned" in text(house.page())
        assert house.post("remove", fields).status == 409
        assert house.post("unpin", fields).status == 200
        assert house.post("unpin", fields).status == 404

    def test_an_image_is_fetched(self, house: House) -> None:
        received = house.post("warm", urlencode({"token": house.token(), "image": "quay.io/org/app:v1"}))
        assert received.status == 200
        assert "is being fetched" in text(received.body.decode())
        house.network.advance(1)
        (job,) = house.jobs.seen()
        assert (job.kind, job.what, job.is_over) == ("warm", "quay.io/org/app:v1", True)
        assert "quay.io" in job.trouble or job.trouble

    def test_all_is_verified(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        house.shelving.store.blobs.keep(Entry(Digest.of(LAYER))).write_bytes(b"x" * len(LAYER))
        assert house.post("verify", urlencode({"token": house.token()})).status == 200
        for _ in range(20):
            house.network.advance(1)
        (job,) = house.jobs.seen()
        assert job.is_over
        assert job.trouble.startswith(f"damaged, and dropped: {Digest.of(LAYER)}")

    def test_one_image_is_verified(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        other = house.shelving.image(View(Registry("quay.io").repository("org/other")), b"other", tag="v1")
        total = house.shelving.store.index.bytes_stored()
        for damaged in (LAYER, b"other"):
            house.shelving.store.blobs.keep(Entry(Digest.of(damaged))).write_bytes(b"x" * len(damaged))
        received = house.post("verify_image", urlencode({"token": house.token(), "image": "quay.io/org/app:v1"}))
        assert "quay.io/org/app:v1 is being read again" in text(received.body.decode())
        for _ in range(20):
            house.network.advance(1)
        (job,) = house.jobs.seen()
        assert (job.kind, job.what, job.is_over) == ("verify_image", "quay.io/org/app:v1", True)
        assert job.trouble.startswith(f"damaged, and dropped: {Digest.of(LAYER)} (1)")
        assert len(LAYER) < job.total < total
        assert "Verify quay.io/org/app:v1" in shown(house, seen=Seen(jobs=(job,)))
        assert other

    def test_each_is_in_the_audit_log_with_who_it_was(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        house.post("remove", urlencode({"token": house.token(), "image": "quay.io/org/app:v1"}))
        record = house.records[-1]
        assert (record.user, record.method, record.target, record.status) == ("alice", "POST", "/admin/remove", 200)
        assert (record.registry, record.repository, record.reference) == ("quay.io", "org/app", "v1")

    @pytest.mark.parametrize("image", ["", "UPPER CASE", "quay.io/a@sha256:1"])
    def test_what_names_no_image_is_told(self, house: House, image: str) -> None:
        assert house.post("remove", urlencode({"token": house.token(), "image": image})).status == 400

    @pytest.mark.parametrize(
        ("fields", "status"), [("a=1&" * 40, 400), ("image=" + "x" * 20_000, 413), ("\xff\xfe=%ff", 403)]
    )
    def test_what_is_no_form_is_told(self, house: House, fields: str, status: int) -> None:
        assert house.post("remove", fields).status == status

    def test_what_fails_later_has_the_id_that_the_log_has_it_by(self, house: House) -> None:
        token = house.token()
        with LogWithRequests() as log:
            house.post("warm", urlencode({"token": token, "image": "quay.io/org/none:v1"}))
        (job,) = house.jobs.seen()
        assert job.is_over
        assert job.trouble.endswith(f" (request {log.request_of('quay.io/org/none:v1 could not be pulled')})")

    @pytest.mark.parametrize("name", ["remove", "pin", "unpin", "verify_image"])
    def test_what_is_not_done_has_the_id_that_the_log_has_it_by(self, house: House, name: str) -> None:
        token = house.token()
        with LogWithRequests() as log:
            received = house.post(name, urlencode({"token": token, "image": "quay.io/org/none:v1"}))
        assert received.status == 404
        request_id = received.one("X-Request-Id")
        assert without_id(text(received.body.decode()), request_id)
        assert log.request_of("the operator is told") == request_id

    @pytest.mark.parametrize("name", ACTIONS)
    def test_s34_nothing_is_done_by_a_get(self, house: House, name: str) -> None:
        received = house.get(f"/admin/{name}?token={house.token()}&image=nginx", basic("alice"))
        assert (received.status, received.one("Allow")) == (405, "POST")

    @pytest.mark.parametrize("name", ACTIONS)
    @pytest.mark.parametrize("token", ["", "0" * 64, "bob's", "own"])
    def test_s34_nothing_is_done_without_the_token_of_who_asks(self, house: House, name: str, token: str) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        before = house.current.config
        if token == "bob's":
            clients = replace(before.clients, admins=frozenset({"alice", "bob"}))
            house.current.config = replace(before, clients=clients)
            token = house.token("bob")
        elif token == "own":
            # Of the endpoint where nobody logs in.
            house.current.config = replace(before, clients=Clients())
            page = house.get("/admin", own=True, host="localhost").body.decode()
            (token, *_) = re.findall(r'name="token" value="([0-9a-f]+)"', page)
        house.current.config = before
        received = house.post(name, urlencode({"token": token, "image": "quay.io/org/app:v1"}))
        assert received.status == 403
        assert house.shelving.store.size(Entry(Digest.of(LAYER))) == len(LAYER)
        assert house.jobs.seen() == ()

    @pytest.mark.parametrize(
        "line",
        [
            "Origin: https://evil.example",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ],
    )
    def test_s34_another_sites_form_is_refused_whatever_its_token(self, house: House, line: str) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        fields = urlencode({"token": house.token(), "image": "quay.io/org/app:v1"})
        assert house.post("remove", fields, line).status == 403
        assert house.shelving.store.size(Entry(Digest.of(LAYER))) == len(LAYER)
        assert house.post("remove", fields, "Origin: http://cr.test", "Sec-Fetch-Site: same-origin").status == 200

    def test_s34_with_another_password_the_token_is_another(self, house: House) -> None:
        token = house.token()
        other = bcrypt.hashpw(b"correct", bcrypt.gensalt(4))
        clients = replace(house.current.config.clients, users={"alice": other})
        house.current.config = replace(house.current.config, clients=clients)
        assert house.post("verify", urlencode({"token": token})).status == 403
        assert house.post("verify", urlencode({"token": house.token()})).status == 200


class TestSafety:
    def test_s36_whatever_is_shown_is_escaped(self, house: House) -> None:
        house.overview = Overview(
            house.network.clock.seconds(),
            Seen(
                (Fill(SCRIPT, SCRIPT, 1, 2, 0.0),),
                (Serving(SCRIPT, SCRIPT, SCRIPT, 1, 2, 0.0),),
                (Job("warm", SCRIPT, 1.0, trouble=SCRIPT),),
                (Trouble(SCRIPT, 1.0),),
            ),
            upstreams=(UpstreamState(SCRIPT, True, limited=((SCRIPT, 1.0),)),),
            certificates=(NameState(SCRIPT, State.FAILED, None, SCRIPT),),
            issuers={SCRIPT: SCRIPT},
            users=(User(SCRIPT, True, None),),
        )
        page = house.page(f"?q={quote(SCRIPT + chr(34) + '>')}")
        assert "<script>" not in page
        assert page.count("<script") == 1
        assert page.count("&lt;script&gt;") + page.count("&lt;script&gt;".replace("/", "/<wbr>")) > 8

    def test_s36_what_an_action_says_is_escaped(self, house: House) -> None:
        received = house.post("remove", urlencode({"token": house.token(), "image": f"quay.io/{SCRIPT}:v1"}))
        assert received.status == 400
        assert b"<script" not in received.body

    @pytest.mark.parametrize("target", ["/admin", "/admin/events", "/admin/nothing"])
    def test_s36_no_frame_and_no_script_of_anybody_else(self, house: House, target: str) -> None:
        browser = house.browser()
        browser.ask(target, basic("alice"))
        received = browser.received()
        policy = received.one("Content-Security-Policy") or ""
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert received.one("X-Frame-Options") == "DENY"
        assert received.one("X-Content-Type-Options") == "nosniff"
        assert received.one("Cache-Control") == "no-store"
        # Else browsers would not say whose form it is.
        assert received.one("Referrer-Policy") == "same-origin"
        browser.leave()

    def test_s36_there_is_no_inline_script_or_style(self, house: House) -> None:
        house.shelving.image(VIEW, LAYER, tag="v1")
        page = house.page()
        assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
        assert "<style" not in page
        assert not re.search(r"\s(?:style|on[a-z]+)=", page)
        assert not re.search(r'(?:src|href|action)="(?:https?:|//)', page)

    def test_it_is_there_in_chinese(self, house: House) -> None:
        received = house.get("/admin?lang=zh", basic("alice"))
        assert received.one("Content-Language") == "zh-CN"
        assert "代理运行情况" in text(received.body.decode())
        chosen = house.get("/admin", basic("alice"), "Accept-Language: zh-CN").body.decode()
        assert '<html lang="zh-CN">' in chosen

    def test_head_has_no_body(self, house: House) -> None:
        received = house.get("/admin", basic("alice"), method="HEAD")
        assert (received.status, received.body) == (200, b"")

    def test_the_endpoint_of_its_own_leads_there(self, house: House) -> None:
        received = house.get("/", own=True, host="localhost")
        assert (received.status, received.one("Location")) == (302, "/admin")
        assert house.get("/v2/", own=True, host="localhost").status == 404
