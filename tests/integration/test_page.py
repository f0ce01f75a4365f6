"""The page in a real browser: what people paste, read and copy, in two languages, with and without scripts.

The pictures of the documentation are taken here, too: into docs/images where SCREENSHOTS names that, else nowhere that
stays.
"""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.browser import Chromium
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, configuration
from tests.parts.fleets import Fleet
from tests.parts.ports import reserve_port
from tests.parts.requirements import need
from tests.parts.s3 import S3Server
from tests.parts.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

DOMAIN = "cr.example.com"
HOME = f"https://{DOMAIN}/"
INPUT, LINE, COPY = "#image", "#ways .way-text", "#ways [data-copy]"
DIGEST = "sha256:" + "0123456789abcdef" * 4
PHONE, WIDE = 360, 1200

# The letters of the pictures, on every machine alike.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <match><test name="family" qual="first"><string>sans</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Noto Sans CJK SC</string></edit></match>
  <match><test name="family" qual="first"><string>sans-serif</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Noto Sans CJK SC</string></edit></match>
  <match><test name="family" qual="first"><string>DejaVu Sans</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Noto Sans CJK SC</string></edit></match>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""

PASTED = [
    ("nginx", ["docker pull {d}/docker.io/nginx", "docker pull docker.{d}/nginx", "docker pull nginx"]),
    ("mysql:5.7", ["docker pull {d}/docker.io/mysql:5.7", "docker pull docker.{d}/mysql:5.7", "docker pull mysql:5.7"]),
    ("library/x", ["docker pull {d}/docker.io/x", "docker pull docker.{d}/x", "docker pull x"]),
    ("quay.io/org/app:v1", ["docker pull {d}/quay.io/org/app:v1", "docker pull quay.{d}/org/app:v1"]),
    ("docker pull quay.io/org/app", ["docker pull {d}/quay.io/org/app", "docker pull quay.{d}/org/app"]),
    ("FROM x AS y", ["FROM {d}/docker.io/x AS y", "FROM docker.{d}/x AS y", "FROM x AS y"]),
    (
        "image: k8s.gcr.io/coredns/coredns:v1.8.6",
        ["image: {d}/k8s.gcr.io/coredns/coredns:v1.8.6", "image: k8s-gcr.{d}/coredns/coredns:v1.8.6"],
    ),
    ("docker://ghcr.io/org/app", ["docker pull {d}/ghcr.io/org/app", "docker pull ghcr.{d}/org/app"]),
    (f"quay.io/a/b@{DIGEST}", [f"docker pull {{d}}/quay.io/a/b@{DIGEST}", f"docker pull quay.{{d}}/a/b@{DIGEST}"]),
    ("registry.example/a/b", ["docker pull {d}/registry.example/a/b"]),
    ("QUAY.IO/Org/App:V1", ["docker pull {d}/quay.io/org/app:V1", "docker pull quay.{d}/org/app:V1"]),
]
MISTAKES = [
    ("registry.example:5000/a/b", "A port cannot stand inside of an image's name"),
    ("what is this", "That is not the name of an image."),
    ("nginx:${TAG}", "The tag, which is behind the colon"),
    ("quay.io", "That names a registry, but no image in it."),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("daemon")
    certificate = Authority(tmp_path_factory.mktemp("authority")).issue(DOMAIN, f"*.{DOMAIN}")
    config = configuration({}, domain=DOMAIN) + "\n[page]\nstate = true\n"
    with Daemon(directory, config, certificate=certificate) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One without a domain, in the clear."""
    with Daemon(tmp_path_factory.mktemp("local"), "") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that is clients' HTTP proxy."""
    config = f'[proxy]\nlisten = ["tcp:{reserve_port()}:interface=127.0.0.1"]\n'
    with Daemon(tmp_path_factory.mktemp("proxied"), config) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
    with (
        S3Server(tmp_path_factory.mktemp("s3")) as s3,
        Fleet(directory, {}, s3=s3, valkey=valkey, more="[page]\nstate = true\n") as fleet,
    ):
        fleet.start(workers=2)
        fleet.start()
        yield fleet


@pytest.fixture(scope="module")
def chromium(running: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    directory = tmp_path_factory.mktemp("chromium")
    fonts = directory / "fonts.conf"
    fonts.write_text(FONTS)
    secure = f"127.0.0.1:{running.tls_port}"
    hosts = {DOMAIN: secure, f"*.{DOMAIN}": secure, "proxy.lan": "127.0.0.1"}
    with Chromium(directory, hosts, fonts) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Chromium, daemon: Daemon) -> Chromium:
    chromium.reset()
    return chromium


def shown(browser: Chromium) -> list[str]:
    return browser.texts(LINE)


def lines(texts: list[str]) -> list[str]:
    return [text.format(d=DOMAIN) for text in texts]


class TestConverting:
    def test_what_is_pasted_is_converted_while_one_types(self, browser: Chromium) -> None:
        browser.open(HOME)
        for pasted, texts in PASTED:
            browser.write(INPUT, pasted)
            browser.wait_until(lambda: shown(browser) == lines(texts))  # noqa: B023 - it is over by then
        assert browser.complaints() == []

    def test_what_is_no_image_is_told(self, browser: Chromium) -> None:
        browser.open(HOME)
        for pasted, told in MISTAKES:
            browser.write(INPUT, pasted)
            browser.wait_until(lambda: "".join(browser.texts("#mistake")).startswith(told))  # noqa: B023
            assert shown(browser) == []
            assert browser.find(INPUT).get_attribute("aria-invalid") == "true"
        browser.write(INPUT, "nginx")
        browser.wait_until(lambda: len(shown(browser)) == 3)
        assert browser.texts("#mistake") == []
        assert browser.find(INPUT).get_attribute("aria-invalid") is None

    def test_an_emptied_field_shows_nothing(self, browser: Chromium) -> None:
        browser.open(f"{HOME}?image=nginx")
        assert len(shown(browser)) == 3
        browser.write(INPUT, "")
        browser.wait_until(lambda: shown(browser) == [])
        assert browser.texts("#answer") == []
        browser.wait_until(lambda: browser.url == HOME)

    def test_an_example_is_one_click_away(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.click("[data-example]", 2)
        browser.wait_until(lambda: f"docker pull {DOMAIN}/quay.io/prometheus/busybox" in shown(browser))

    def test_the_address_keeps_what_was_pasted(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.write(INPUT, "quay.io/a/b")
        browser.wait_until(lambda: browser.url == f"{HOME}?image=quay.io%2Fa%2Fb")
        browser.open(browser.url)
        assert f"docker pull quay.{DOMAIN}/a/b" in shown(browser)

    def test_enter_and_the_button_do_the_same(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.type(INPUT, "quay.io/a/b\n")
        browser.wait_until(lambda: len(shown(browser)) == 2)
        browser.write(INPUT, "nginx")
        browser.click(".go")
        browser.wait_until(lambda: len(shown(browser)) == 3)

    def test_what_is_pasted_stays_text(self, browser: Chromium) -> None:
        browser.open(f"{HOME}?image=%22%3E%3Cscript%3Edocument.title%3D1%3C%2Fscript%3E")
        assert browser.find(INPUT).get_property("value") == '"><script>document.title=1</script>'
        assert browser.complaints() == []

    def test_an_alias_names_its_registry(self, browser: Chromium) -> None:
        browser.open(f"https://quay.{DOMAIN}/?image=quay.io/a/b")
        assert browser.texts(".lead")[0].startswith(f"quay.{DOMAIN} stands for quay.io.")
        assert shown(browser) == lines(["docker pull {d}/quay.io/a/b", "docker pull quay.{d}/a/b"])


COMPOSE = "services:\n  a: {image: nginx}   # the web\n  b: {image: quay.io/org/app:v1}\n  c: {image: $X}"
REWRITTEN = COMPOSE.replace("nginx", f"{DOMAIN}/docker.io/nginx").replace("quay.io", f"{DOMAIN}/quay.io")
FILE, RESULT, REWRITE = "#file", "#rewrite-result [data-text]", "#rewrite-form .go"


class TestWholeFiles:
    def test_a_file_comes_back_with_its_names_rewritten(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.write(FILE, COMPOSE)
        browser.click(REWRITE)
        browser.wait_until(lambda: browser.texts("#rewrite-count") == ["Names rewritten: 2"])
        assert browser.find(RESULT).get_property("textContent") == REWRITTEN
        assert browser.texts("#rewrite-notes p") == ["Line 4: $X stays as it is: a variable without a default decides"]
        assert browser.url == HOME, "no script was needed to leave the page"
        browser.click("#rewrite-result [data-copy]")
        browser.wait_until(lambda: "Copied" in browser.texts("#rewrite-result [data-label]"))
        assert browser.paste(FILE) == REWRITTEN
        assert browser.violations() == []
        assert browser.complaints() == []

    def test_by_aliases_as_well(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.write(FILE, "FROM nginx")
        browser.type("#form", "Alias")
        browser.click(REWRITE)
        browser.wait_until(lambda: browser.texts(RESULT) == [f"FROM docker.{DOMAIN}/nginx"])

    def test_without_scripts_as_well(self, browser: Chromium) -> None:
        browser.allow_scripts(False)
        browser.open(f"{HOME}?lang=zh")
        browser.write(FILE, COMPOSE)
        browser.click(REWRITE)
        browser.wait_until(lambda: browser.texts("#rewrite-count") == ["已改写 2 个镜像名"])
        assert browser.find(RESULT).get_property("textContent") == REWRITTEN
        assert browser.find(FILE).get_property("value") == COMPOSE
        browser.allow_scripts(True)
        assert browser.violations() == []

    def test_what_cannot_be_is_told(self, browser: Chromium) -> None:
        browser.open(HOME)
        for text, told in (("hello: world", "There is no image in that."), ("x" * 70_000, "That is too long")):
            browser.measure(f"document.querySelector('#file').value = {text!r}")
            browser.click(REWRITE)
            browser.wait_until(lambda: "".join(browser.texts("#rewrite-mistake")).startswith(told))  # noqa: B023
            assert browser.texts("#rewrite-result") == []

    @pytest.mark.parametrize("width", [PHONE, WIDE])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_it_can_be_used_by_everybody(self, browser: Chromium, width: int, dark: bool) -> None:
        browser.look(width, dark=dark)
        browser.open(HOME)
        browser.write(FILE, f"{COMPOSE}\n# {'long ' * 60}")
        browser.click(REWRITE)
        browser.wait_until(lambda: browser.texts("#rewrite-count"))
        assert browser.measure("document.documentElement.scrollWidth") <= width
        assert browser.violations() == []


class TestCopying:
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_each_way_is_one_click_away(self, browser: Chromium, number: int) -> None:
        browser.open(f"{HOME}?image=nginx:1.27")
        text = shown(browser)[number]
        browser.click(COPY, number)
        browser.wait_until(lambda: browser.texts(f"{COPY} [data-label]")[number] == "Copied")
        assert browser.paste(INPUT) == text

    def test_what_came_while_one_typed_is_copied_as_well(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.write(INPUT, "FROM golang AS build")
        browser.wait_until(lambda: len(shown(browser)) == 3)
        browser.click(COPY, 1)
        browser.wait_until(lambda: "Copied" in browser.texts(f"{COPY} [data-label]"))
        assert browser.paste(INPUT) == f"FROM docker.{DOMAIN}/golang AS build"

    def test_a_file_is_copied_whole(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.click("[open] [data-copy]")
        browser.wait_until(lambda: "Copied" in browser.texts("[open] [data-label]"))
        # An input makes spaces of line breaks.
        pasted = browser.paste(INPUT).split()
        assert pasted == ["{", '"registry-mirrors":', "[", f'"https://docker.{DOMAIN}"', "]", "}"]

    def test_in_the_clear_where_browsers_offer_no_clipboard(self, browser: Chromium, local: Daemon) -> None:
        browser.open(f"http://proxy.lan:{local.port}/?image=quay.io/a/b")
        assert browser.measure("isSecureContext") is False
        browser.click(COPY)
        browser.wait_until(lambda: "Copied" in browser.texts(f"{COPY} [data-label]"))
        assert browser.paste(INPUT) == f"docker pull proxy.lan:{local.port}/quay.io/a/b"


class TestWithoutScripts:
    def test_the_form_is_answered(self, browser: Chromium) -> None:
        browser.allow_scripts(False)
        browser.open(HOME)
        for pasted, texts in PASTED[:6]:
            browser.write(INPUT, pasted)
            browser.click(".go")
            browser.wait_until(lambda: shown(browser) == lines(texts))  # noqa: B023
        assert browser.texts("[data-copy]") == []

    def test_mistakes_are_told(self, browser: Chromium) -> None:
        browser.allow_scripts(False)
        browser.open(HOME)
        browser.type(INPUT, "what is this\n")
        browser.wait_until(lambda: browser.texts("#mistake"))
        assert browser.find(INPUT).get_property("value") == "what is this"

    def test_the_language_is_switched_and_kept(self, browser: Chromium) -> None:
        browser.allow_scripts(False)
        browser.open(f"{HOME}?image=nginx")
        browser.click("#language")
        browser.wait_until(lambda: browser.texts("h1") == ["从这里拉取任何镜像"])
        assert len(shown(browser)) == 3
        browser.write(INPUT, "what is this")
        browser.click(".go")
        browser.wait_until(lambda: "".join(browser.texts("#mistake")).startswith("这不是镜像名"))

    def test_a_set_up_unfolds(self, browser: Chromium) -> None:
        browser.allow_scripts(False)
        browser.open(HOME)
        browser.click("summary", 1)
        browser.wait_until(lambda: "/etc/containerd/certs.d/_default/hosts.toml" in browser.texts("figcaption code"))
        # One at a time.
        assert "/etc/docker/daemon.json" not in browser.texts("figcaption code")


class TestLanguages:
    def test_the_browsers_language_counts(self, browser: Chromium) -> None:
        browser.accept_language("zh-CN,zh;q=0.9,en;q=0.8")
        browser.open(HOME)
        assert browser.texts("h1") == ["从这里拉取任何镜像"]
        browser.write(INPUT, "Nginx")
        browser.wait_until(lambda: browser.texts(".note") == ["镜像名只能用小写字母，已改为小写。"])
        assert browser.texts("#ways b") == ["前缀", "别名", "加速"]

    def test_a_link_switches_and_keeps_what_was_typed(self, browser: Chromium) -> None:
        browser.open(HOME)
        browser.write(INPUT, "nginx:1")
        browser.wait_until(lambda: "nginx" in browser.url)
        browser.click("#language")
        browser.wait_until(lambda: browser.texts("h1") == ["从这里拉取任何镜像"])
        assert shown(browser)[0] == f"docker pull {DOMAIN}/docker.io/nginx:1"
        browser.click("#language")
        browser.wait_until(lambda: browser.texts("h1") == ["Pull any image from here"])


@pytest.mark.parametrize("query", ["", "?image=nginx", "?image=what+is+this", "?lang=zh&image=Nginx"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, WIDE])
class TestEverybody:
    def test_nothing_keeps_anybody_from_using_it(self, browser: Chromium, width: int, dark: bool, query: str) -> None:
        browser.look(width, dark=dark)
        browser.open(HOME + query)
        assert browser.violations() == []


class TestLooks:
    @pytest.mark.parametrize("query", ["", f"?image=quay.io/a-rather-long-name/of-an-image@{DIGEST}", "?lang=zh"])
    @pytest.mark.parametrize("width", [PHONE, 768, WIDE, 2560])
    def test_nothing_has_to_be_pushed_sideways(self, browser: Chromium, width: int, query: str) -> None:
        browser.look(width)
        browser.open(HOME + query)
        for number in range(len(browser.find_all("summary"))):
            assert browser.measure("document.documentElement.scrollWidth") <= width
            browser.measure(f"document.querySelectorAll('details')[{number}].open = true")

    def test_it_is_dark_for_those_who_want_that(self, browser: Chromium) -> None:
        grounds = []
        for dark in (False, True):
            browser.look(dark=dark)
            browser.open(HOME)
            grounds.append(browser.measure("getComputedStyle(document.documentElement).backgroundColor"))
        assert grounds == ["rgb(250, 249, 247)", "rgb(18, 21, 20)"]

    def test_nothing_moves_for_those_who_want_that(self, browser: Chromium) -> None:
        browser.look(still=True)
        browser.open(HOME)
        moving = (
            "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
        )
        assert browser.measure(moving) == 0
        browser.look(still=False)
        assert browser.measure(moving) > 0

    def test_a_keyboard_is_enough(self, browser: Chromium) -> None:
        browser.open(f"{HOME}?image=quay.io/a/b")
        passed = [browser.tab().get_attribute("class") or "" for _ in range(7)]
        assert passed[0] == "skip"
        assert passed[4:7] == ["go", "copy", "copy"]
        focused = browser.find(".copy:focus")
        assert focused.value_of_css_property("outline-style") == "solid"


class TestState:
    def test_certificates_and_the_cache_are_shown(self, browser: Chromium) -> None:
        browser.open(HOME)
        numbers = [text.splitlines()[1] for text in browser.texts(".numbers li")]
        assert "kept in the cache, of 20.0 GiB" in numbers
        rows = browser.texts(".tables tbody tr")
        # trustme's end.
        assert rows[0] == f"{DOMAIN} 3000-01-01"
        assert len(rows) == 15

    def test_it_is_not_where_nobody_allowed_it(self, browser: Chromium, local: Daemon) -> None:
        browser.open(f"http://localhost:{local.port}/")
        assert browser.find_all("#state") == []


class TestProxied:
    @pytest.mark.parametrize("query", ["", "?lang=zh"])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [PHONE, WIDE])
    def test_its_ca_is_there_for_everybody(
        self, browser: Chromium, proxied: Daemon, width: int, dark: bool, query: str
    ) -> None:
        home = f"http://localhost:{proxied.port}/"
        browser.look(width, dark=dark)
        browser.open(home + query)
        assert browser.find("#proxied ~ .card a").get_attribute("href") == f"{home}ca.pem"
        assert browser.measure("document.documentElement.scrollWidth") <= width
        assert browser.violations() == []

    def test_where_there_is_none_nothing_is_said_of_it(self, browser: Chromium) -> None:
        browser.open(HOME)
        assert browser.find_all("#proxied") == []


class TestFleet:
    def home(self, fleet: Fleet) -> str:
        return f"http://localhost:{fleet.nodes[0].port}/"

    def rows(self, browser: Chromium, fleet: Fleet, table: str) -> list[str]:
        browser.open(self.home(fleet))
        return browser.texts(f"#{table} tbody tr")

    def test_who_is_there_is_shown(self, browser: Chromium, fleet: Fleet) -> None:
        browser.wait_until(lambda: len(self.rows(browser, fleet, "nodes")) == 2)
        first, second = self.rows(browser, fleet, "nodes")
        assert first.startswith("node-1 (this one) ")
        assert second.startswith("node-2 ")
        assert first.endswith(": 0 B kept, 0 transfers")
        assert "127.0.0.1" not in browser.find("#nodes").text, "where nodes are reached is nobody's business"
        assert browser.violations() == []

    @pytest.mark.parametrize("width", [PHONE, WIDE])
    def test_nothing_has_to_be_pushed_sideways(self, browser: Chromium, fleet: Fleet, width: int) -> None:
        browser.look(width)
        browser.open(self.home(fleet))
        assert browser.measure("document.documentElement.scrollWidth") <= width
        assert browser.violations() == []

    def test_what_they_have_in_common_is_up_and_away_as_it_is(
        self, browser: Chromium, fleet: Fleet, valkey: Valkey
    ) -> None:
        expected = ["Valkey up", "Leases of this node 0", "Object store up", "To be uploaded 0 objects, 0 B"]
        browser.wait_until(lambda: self.rows(browser, fleet, "common") == expected)
        valkey.kill()
        browser.wait_until(lambda: self.rows(browser, fleet, "common")[0] == "Valkey away: this node goes on alone")
        valkey.again()
        browser.wait_until(lambda: self.rows(browser, fleet, "common") == expected)

    def test_a_node_alone_shows_none_of_it(self, browser: Chromium) -> None:
        browser.open(HOME)
        assert browser.find_all("#nodes") == browser.find_all("#common") == []


PICTURES = {
    "page-en": ("?image=quay.io/org/app:v1", 1100, 760, False),
    "page-zh": ("?lang=zh&image=nginx:1.27", 1100, 760, False),
    "page-dark": ("?image=FROM%20golang:1.25%20AS%20build", 1100, 760, True),
    "page-phone": ("?image=k8s.gcr.io/coredns/coredns:v1.8.6", PHONE, 780, False),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_taken(browser: Chromium, name: str, tmp_path: Path) -> None:
    wanted = os.environ.get("SCREENSHOTS")
    if wanted is not None:
        families = subprocess.run([need("fc-list"), ":", "family"], capture_output=True, text=True, check=True).stdout
        assert "Noto Sans CJK SC" in families, "the pictures want Debian's fonts-noto-cjk"
    query, width, height, dark = PICTURES[name]
    browser.look(width, height, dark=dark)
    browser.open(HOME + query)
    picture = browser.picture()
    # PNG, "Image header"
    assert struct.unpack(">II", picture[16:24]) == (width, height)
    assert len(picture) < 150_000
    (Path(wanted or tmp_path) / f"{name}.png").write_bytes(picture)
