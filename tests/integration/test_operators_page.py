"""The operator's page in a real browser: what happens is seen while it does, and what may not be done is refused.

Pictures of it are taken as those of the public page are: into docs/images where SCREENSHOTS names that.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import signal
import stat
import struct
import subprocess
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import bcrypt
import pytest

from crproxy.policy.history import DAY, MONTH, History, Totals
from tests.parts.answers import Filler
from tests.parts.browser import Chromium
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.ports import reserve_port
from tests.parts.raw_http import Address, ask, asking, exchange, hash_rest
from tests.parts.requirements import need
from tests.parts.shapes import ranged
from tests.parts.waiting import until

from .test_page import FONTS, PHONE, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.certificates import Authority
    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN = "cr.example.com"
HOME = f"https://{DOMAIN}/admin"
PASSWORD = "correct"
MEBIBYTE = 1 << 20
FOLLOWS = "This page follows what happens."


def write_htpasswd(file: Path, *users: str) -> None:
    lines = [f"{user}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()}" for user in users]
    file.write_text("\n".join([*lines, ""]))


def basic(user: str, password: str = PASSWORD) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def text_of(upstream: FakeUpstream) -> str:
    config = configuration({REGISTRY: Upstream(upstream.url, connections=1)}, domain=DOMAIN)
    config += '[clients]\nhtpasswd = "htpasswd"\nadmins = ["alice"]\n'
    return config + '[limits]\nupstream = "6M/s"\n'


@pytest.fixture(scope="module")
def upstream(layout: Layout) -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        for tag in ("v1", "v2", "v3"):
            fake.publish("team/app", tag, layout.image())
        yield fake


def some_history(now: float) -> History:
    """A month of a proxy that is busy by day."""
    history, counted, random = History(), Totals(), Random(1)
    history.note(counted, now - MONTH.length)
    for moment in range(int(now) - MONTH.length, int(now), DAY.step):
        busy = max(0.02, math.sin(2 * math.pi * (moment % 86400) / 86400 - 1.5)) * random.uniform(0.6, 1)
        asked, served = int(400 * busy), int(3e9 * busy)
        hits, fetched = int(asked * random.uniform(0.8, 0.95)), int(served * random.uniform(0.1, 0.25))
        counted = counted.plus(Totals(asked, hits, served, fetched))
        history.note(counted, moment)
    return history


@pytest.fixture(scope="module")
def running(
    workers: int, tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream, authority: Authority
) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("daemon")
    write_htpasswd(directory / "htpasswd", "alice", "bob")
    (directory / "data").mkdir(mode=0o700)
    (directory / "data" / "history.json").write_text(json.dumps(some_history(time.time()).document()))
    with Daemon(directory, text_of(upstream), certificate=authority.issue(DOMAIN, f"*.{DOMAIN}")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def chromium(running: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    directory = tmp_path_factory.mktemp("chromium")
    fonts = directory / "fonts.conf"
    fonts.write_text(FONTS)
    with Chromium(directory, {DOMAIN: f"127.0.0.1:{running.tls_port}"}, fonts) as browser:
        # It remembers that for all that is asked there.
        browser.open(f"https://alice:{PASSWORD}@{DOMAIN}/admin")
        yield browser


@pytest.fixture
def browser(chromium: Chromium, daemon: Daemon) -> Chromium:
    chromium.reset()
    return chromium


def rows(browser: Chromium, table: str) -> list[str]:
    """The rows of a table, read at once: the page may put others into their place."""
    found = browser.measure(f"[...document.querySelectorAll('#{table} tbody tr')].map((row) => row.innerText)")
    return [" ".join(str(text).split()) for text in found]


def pull(daemon: Daemon, tag: str = "v1", user: str = "bob") -> None:
    """Pull an image as clients do."""
    place = manifest_place(tag)
    reply = ask(daemon.address, "GET", place.through, ("Host", DOMAIN), basic(user))
    assert reply.status == 200
    document = reply.json()
    for described in (document["config"], *document["layers"]):
        target = place.through.replace(f"manifests/{tag}", f"blobs/{described['digest']}")
        assert ask(daemon.address, "GET", target, ("Host", DOMAIN), basic(user)).status == 200


def move(running: Daemon, operator: Operator, upstream: FakeUpstream, layout: Layout) -> tuple[str, str]:
    """Have a tag be pulled, and then another image by the same; return their digests."""
    name, digests = f"{REGISTRY}/team/app:moved", []
    for image in (layout.image(), layout.image()):
        upstream.publish("team/app", "moved", image)
        pull(running, "moved")
        digests.append(image.manifest.digest)
        until(lambda: "moved" in listed(operator))
        if len(digests) == 1:
            # So that its registry is asked at once where the tag points.
            assert operator.runs("cache", "remove", name).status == 0
    return digests[0], digests[1]


@pytest.fixture
def operator(daemon: Daemon, tmp_path: Path) -> Operator:
    return Operator(tmp_path, daemon.data_dir / "admin.sock")


def listed(operator: Operator) -> dict[str, dict[str, object]]:
    """What the command says is kept, by tag."""
    return {image["reference"]: image for image in operator.runs("cache", "list", "--json").json()}


def button(name: str, tag: str) -> str:
    """The selector of what does something with an image of the table."""
    return f"form[action='/admin/{name}']:has([value$=':{tag}']) button"


def token_of(daemon: Daemon, user: str = "alice") -> str:
    """The token of the forms of a user's page."""
    page = ask(daemon.address, "GET", "/admin", ("Host", DOMAIN), basic(user)).body.decode()
    (token, *_) = re.findall(r'name="token" value="([0-9a-f]+)"', page)
    return str(token)


def post(address: Address, name: str, fields: dict[str, str], *header: tuple[str, str]) -> int:
    """Send a form; return the status of the answer."""
    form = urlencode(fields)
    about = ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(form)))
    with asking(address, "POST", f"/admin/{name}", ("Host", DOMAIN), *header, *about) as connection:
        connection.sendall(form.encode())
        return int(connection.recv(1 << 16).split()[1])


class TestNow:
    def test_a_fill_is_seen_moving_with_who_waits_for_it(
        self, browser: Chromium, running: Daemon, upstream: FakeUpstream
    ) -> None:
        large = Filler(32 * MEBIBYTE, seed=7)
        place = blob(large)
        upstream.script(place.path, ranged(large))
        browser.open(HOME)
        browser.wait_until(lambda: browser.texts("#live") == ["This page follows what happens."])
        with exchange(running.address, "GET", place.through, ("Host", DOMAIN), basic("bob"), seconds=60) as response:
            assert response.status == 200
            seen: set[float] = set()

            def moves() -> bool:
                seen.update(
                    browser.measure("[...document.querySelectorAll('#fills progress')].map((one) => one.value)")
                )
                return len(seen) >= 3

            browser.wait_until(moves)
            (row,) = rows(browser, "fills")
            assert row.startswith(f"{REGISTRY}/team/app")
            assert "of 32.0 MiB" in row
            assert row.endswith("bob")
            (served,) = rows(browser, "serving")
            assert served.startswith("bob")
            assert hash_rest(response) == (len(large), large.digest)
        assert max(seen) <= len(large)
        browser.wait_until(lambda: rows(browser, "fills") == rows(browser, "serving") == [])
        assert browser.complaints() == []

    def test_the_other_workers_errors_and_users_are_seen_as_well(self, browser: Chromium, running: Daemon) -> None:
        # Each on a connection of its own, which either worker accepts.
        for number in range(12):
            target = manifest_place(f"missing-{number}").through.replace(REGISTRY, "registry.invalid")
            assert ask(running.address, "GET", target, ("Host", DOMAIN), basic("bob")).status in (403, 502, 503)
        pull(running)
        browser.open(HOME)
        assert any(row.startswith("bob") and "not since" not in row for row in rows(browser, "users"))


class TestActing:
    def test_an_image_is_removed(self, browser: Chromium, running: Daemon, operator: Operator) -> None:
        pull(running)
        assert "v1" in listed(operator)
        browser.open(HOME)
        row = next(text for text in rows(browser, "images") if text.startswith(f"{REGISTRY}/team/app:v1"))
        assert "complete" in row
        assert "bob" in row
        browser.click(button("remove", "v1"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert browser.texts("#done")[0].startswith(f"{REGISTRY}/team/app:v1 was removed.")
        assert browser.violations() == []
        assert "v1" not in listed(operator)
        running.wait_for_log(r'alice .*"POST /admin/remove HTTP/1.1" 200 .*repository=team/app reference=v1')
        browser.click("p a")
        browser.wait_until(lambda: browser.texts("h1") == ["What this proxy does"])

    def test_an_image_is_pinned_and_let_go(self, browser: Chromium, running: Daemon, operator: Operator) -> None:
        pull(running, "v2")
        browser.open(HOME)
        browser.click(button("pin", "v2"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert listed(operator)["v2"]["pinned"] is True
        name = f"{REGISTRY}/team/app:v2"
        said = operator.runs("cache", "remove", name)
        assert (said.status, "is pinned" in said.err) == (1, True)
        browser.open(HOME)
        assert any("pinned" in text for text in rows(browser, "images"))
        browser.click(button("unpin", "v2"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert listed(operator)["v2"]["pinned"] is False
        assert operator.runs("cache", "pin", name).out == f"{name}: pinned\n"
        assert "pinned" in operator.runs("cache", "list").out
        assert operator.runs("cache", "unpin", name).out == f"{name}: not pinned any more\n"
        assert operator.runs("cache", "unpin", name).status == 1

    def test_a_tag_that_moved_is_rolled_back_and_let_go(
        self, browser: Chromium, running: Daemon, operator: Operator, upstream: FakeUpstream, layout: Layout
    ) -> None:
        before, after = move(running, operator, upstream, layout)
        browser.open(HOME)
        assert f"{before[:19]} {after[:19]} as its registry has it" in rows(browser, "moved")[0]
        browser.click(button("tag_rollback", "moved"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert [pin["digest"] for pin in operator.runs("tag", "pins", "--json").json()] == [before]
        browser.open(HOME)
        assert before[:19] in rows(browser, "tag-pins")[0]
        browser.click(button("tag_unpin", "moved"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert operator.runs("tag", "pins", "--json").json() == []

    def test_an_image_is_fetched_and_seen_coming(self, browser: Chromium, running: Daemon, operator: Operator) -> None:
        browser.open(f"{HOME}?lang=en")
        browser.write(".forms input[name=image]", f"{REGISTRY}/team/app:v3")
        browser.click(".forms .go")
        browser.wait_until(lambda: browser.texts("#done"))
        browser.open(HOME)
        browser.wait_until(lambda: any("v3" in row and row.endswith("done") for row in rows(browser, "jobs")))
        assert listed(operator)["v3"]["complete"] is True

    def test_all_that_is_kept_is_verified(self, browser: Chromium, running: Daemon) -> None:
        pull(running)
        browser.open(HOME)
        browser.click(".forms button.verify")
        browser.wait_until(lambda: browser.texts("#done"))
        browser.open(HOME)
        browser.wait_until(lambda: any("Verify" in row and row.endswith("done") for row in rows(browser, "jobs")))

    def test_one_image_is_verified(self, browser: Chromium, running: Daemon) -> None:
        pull(running, "v1")
        browser.open(f"{HOME}?lang=en&q={REGISTRY}/team/app:v1")
        browser.click("#images button.verify_image")
        browser.wait_until(lambda: browser.texts("#done"))
        assert "is being read again" in browser.texts("#done")[0]
        browser.open(HOME)
        browser.wait_until(lambda: any("app:v1" in row and row.endswith("done") for row in rows(browser, "jobs")))

    def test_it_is_searched(self, browser: Chromium, running: Daemon) -> None:
        pull(running, "v1")
        pull(running, "v2")
        browser.open(HOME)
        browser.type("#q", "*:v2\n")
        browser.wait_until(lambda: len(rows(browser, "images")) == 1)
        assert browser.url.endswith("?q=*%3Av2&sort=used") or "q=" in browser.url


class TestRefusals:
    def test_s34_another_sites_form_does_nothing(self, browser: Chromium, running: Daemon, operator: Operator) -> None:
        """The browser is logged in, and the form even has the right token."""
        pull(running)
        form = (
            f"<form method=post action={HOME}/remove><input name=token value={token_of(running)}>"
            f"<input name=image value={REGISTRY}/team/app:v1><button>win</button></form>"
        )
        browser.open(f"data:text/html,{form}")
        browser.click("button")
        browser.wait_until(lambda: browser.url.startswith(HOME))
        assert "another site" in browser.texts("body")[0]
        assert "v1" in listed(operator)

    def test_s34_without_its_token_a_form_does_nothing(self, running: Daemon, operator: Operator) -> None:
        pull(running)
        fields = {"image": f"{REGISTRY}/team/app:v1"}
        assert post(running.address, "remove", fields, basic("alice")) == 403
        assert post(running.address, "remove", {**fields, "token": "0" * 64}, basic("alice")) == 403
        assert "v1" in listed(operator)
        # Either worker takes the token that the other has shown.
        for _ in range(6):
            assert post(running.address, "verify", {"token": token_of(running)}, basic("alice")) in (200, 409)

    def test_s35_without_a_login_there_is_nothing_to_see_or_do(self, running: Daemon, operator: Operator) -> None:
        pull(running)
        token = token_of(running)
        for who in ((), (basic("bob"),), (basic("alice", "wrong"),)):
            for target in ("/admin", "/admin/events"):
                reply = ask(running.address, "GET", target, ("Host", DOMAIN), *who)
                assert reply.status == 401
                assert b"team/app" not in reply.body
            fields = {"token": token, "image": f"{REGISTRY}/team/app:v1"}
            assert post(running.address, "remove", fields, *who) == 401
        assert "v1" in listed(operator)

    def test_s35_who_tries_passwords_is_locked_out_in_all_workers(
        self, tmp_path: Path, upstream: FakeUpstream, authority: Authority
    ) -> None:
        write_htpasswd(tmp_path / "htpasswd", "alice")
        with Daemon(tmp_path, text_of(upstream), certificate=authority.issue(DOMAIN)) as daemon:
            statuses = [
                ask(daemon.address, "GET", "/admin", ("Host", DOMAIN), basic("alice", f"wrong {number}")).status
                for number in range(14)
            ]
            assert statuses == [401] * 10 + [429] * 4
            assert ask(daemon.address, "GET", "/admin", ("Host", DOMAIN), basic("alice")).status == 429

    def test_s35_a_reload_lets_nobody_in_any_more(
        self, tmp_path: Path, upstream: FakeUpstream, authority: Authority
    ) -> None:
        write_htpasswd(tmp_path / "htpasswd", "alice")
        text = text_of(upstream)
        with Daemon(tmp_path, text, certificate=authority.issue(DOMAIN)) as daemon:
            with exchange(daemon.address, "GET", "/admin/events", ("Host", DOMAIN), basic("alice")) as followed:
                assert followed.status == 200
                daemon.reload(text.replace('admins = ["alice"]', "") + '[listen]\nplain_http = "serve"\n')
                daemon.wait_for_log("the configuration was read again: .*admins changed")
                followed.read()
            assert ask(daemon.address, "GET", "/admin", ("Host", DOMAIN), basic("alice")).status == 404


class TestWithoutScripts:
    def test_it_shows_the_moment_and_its_forms_work(
        self, browser: Chromium, running: Daemon, operator: Operator
    ) -> None:
        pull(running)
        browser.allow_scripts(False)
        browser.open(HOME)
        assert browser.texts("#live")[0].startswith("This page shows the moment at which it was loaded.")
        browser.click("summary")
        browser.wait_until(lambda: len(browser.texts("#numbers details[open] tbody tr")) in (24, 25))
        browser.click(button("remove", "v1"))
        browser.wait_until(lambda: browser.texts("#done"))
        assert "v1" not in listed(operator)


@pytest.mark.parametrize("query", ["", "?lang=zh", "?q=nothing"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_nothing_keeps_anybody_from_using_it(
    browser: Chromium,
    running: Daemon,
    operator: Operator,
    upstream: FakeUpstream,
    layout: Layout,
    width: int,
    dark: bool,
    query: str,
) -> None:
    pull(running)
    move(running, operator, upstream, layout)
    assert operator.runs("tag", "pin", f"{REGISTRY}/team/app:v1").status == 0
    browser.look(width, dark=dark)
    browser.open(HOME + query)
    browser.wait_until(lambda: browser.texts("#live") in ([FOLLOWS], ["本页面实时更新。"]))
    assert browser.violations() == []
    for number in range(len(browser.find_all("details"))):
        browser.measure(f"document.querySelectorAll('details')[{number}].open = true")
    assert browser.measure("document.documentElement.scrollWidth") <= width
    assert browser.violations() == []
    assert browser.complaints() == []


def test_an_open_page_does_not_hold_the_daemon_up(tmp_path: Path, upstream: FakeUpstream, authority: Authority) -> None:
    write_htpasswd(tmp_path / "htpasswd", "alice")
    with (
        Daemon(tmp_path, text_of(upstream), certificate=authority.issue(DOMAIN)) as daemon,
        exchange(daemon.address, "GET", "/admin/events", ("Host", DOMAIN), basic("alice")) as followed,
    ):
        assert followed.read(100)
        daemon.signal(signal.SIGTERM)
        # It would have 20 s as any transfer has.
        daemon.wait(12)


class TestOwnEndpoint:
    def test_this_machine_has_it_without_a_login(self, browser: Chromium, tmp_path: Path) -> None:
        with Daemon(tmp_path, f'[admin]\nlisten = "tcp:{reserve_port()}:interface=127.0.0.1"\n') as daemon:
            url = daemon.wait_for_log(r"the operator's page is at (http://127\.0\.0\.1:\d+/admin)")[1]
            browser.open(url.removesuffix("/admin"))
            browser.wait_until(lambda: browser.texts("#live") == [FOLLOWS])
            assert browser.violations() == []
            browser.click("button.verify")
            browser.wait_until(lambda: browser.texts("#done"))
            port = int(url.split(":")[2].split("/")[0])
            assert ask(("127.0.0.1", port), "GET", "/admin", ("Host", "evil.example")).status == 421
            assert ask(("127.0.0.1", port), "GET", "/v2/").status == 404
            # Of the proxy itself it is no part.
            assert ask(daemon.address, "GET", "/admin").status == 404

    def test_it_may_be_a_socket_for_some_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "page.sock"
        with Daemon(tmp_path, f'[admin]\nlisten = "unix:{path}:mode=600"\n') as daemon:
            daemon.wait_for_log("the operator's page is at")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert ask(path, "GET", "/admin").status == 200


PICTURES = {
    "operator-en": ("", 1100, 1500, False),
    "operator-zh": ("?lang=zh", 1100, 1500, False),
    "operator-dark": ("", 1100, 1500, True),
    "operator-phone": ("", PHONE, 1400, False),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_taken(
    browser: Chromium, running: Daemon, upstream: FakeUpstream, name: str, tmp_path: Path
) -> None:
    wanted = os.environ.get("SCREENSHOTS")
    if wanted is not None:
        families = subprocess.run([need("fc-list"), ":", "family"], capture_output=True, text=True, check=True).stdout
        assert "Noto Sans CJK SC" in families, "the pictures want Debian's fonts-noto-cjk"
    query, width, height, dark = PICTURES[name]
    pull(running)
    large = Filler(32 * MEBIBYTE, seed=100 + list(PICTURES).index(name))
    place = blob(large)
    upstream.script(place.path, ranged(large))
    browser.look(width, height, dark=dark)
    browser.open(HOME + query)
    with exchange(running.address, "GET", place.through, ("Host", DOMAIN), basic("bob")) as response:
        response.read(1)
        browser.wait_until(lambda: browser.find_all("#fills progress"))
        picture = browser.picture()
        hash_rest(response)
    # PNG, "Image header"
    assert struct.unpack(">II", picture[16:24]) == (width, height)
    assert len(picture) < 250_000
    (Path(wanted or tmp_path) / f"{name}.png").write_bytes(picture)
