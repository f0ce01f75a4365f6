"""The operator's page in memory: its site, behind a gate, with a cache below it."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from crproxy.admin.cache_work import CacheWork
from crproxy.admin.page import Gate, OperatorPage, Overview, Sources, make_own_site
from crproxy.admin.page.actions import Actions
from crproxy.admin.page.gate import wrong_logins
from crproxy.admin.page.jobs import Jobs
from crproxy.admin.page.stream import Streams
from crproxy.admin.page.tags import look_at_tags
from crproxy.config import Clients, Config, Listen
from crproxy.limits import Accounts
from crproxy.login import Login
from crproxy.login.passwords import Passwords
from crproxy.login.signing import Signer
from crproxy.policy.audit import Record
from crproxy.policy.clients import Network as ClientNetwork
from crproxy.policy.routing import Names
from crproxy.pullthrough.warming import Warming
from crproxy.sharing import Counts
from crproxy.sharing.levels import OwnLevels
from crproxy.store.inventory import Inventory
from crproxy.store.pinning import Pins
from crproxy.web.branch import Branch
from crproxy.web.page.assets import Assets
from crproxy.web.site import PlainSite
from tests.admin.tags import tag_work
from tests.memory import Network
from tests.pullthrough.conftest import Client
from tests.store.shelving import Shelving
from tests.stores import make_store, pull_through, threads
from tests.web.conftest import KEY, NAMES, Browser, Current, Received

PASSWORD = "correct"
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
LOCAL = IPv4Address("TCP", "127.0.0.1", 1234)
ELSEWHERE = IPv4Address("TCP", "192.0.2.9", 1234)


def basic(user: str, password: str = PASSWORD) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class House:
    """A daemon's page: at ``/admin`` of its site, and at an endpoint of its own."""

    network: Network
    current: Current
    shelving: Shelving
    client: Client
    jobs: Jobs
    streams: Counts
    site: PlainSite
    own: PlainSite
    records: list[Record]
    overview: Overview

    def browser(self, peer: IAddress = LOCAL, *, own: bool = False) -> Browser:
        return Browser(self.own if own else self.site, self.network, peer)

    def get(
        self, target: str = "/admin", *lines: str, peer: IAddress = LOCAL, own: bool = False, **how: Any
    ) -> Received:
        browser = self.browser(peer, own=own)
        browser.ask(target, *lines, **how)
        self.network.advance(0)
        return browser.received()

    def page(self, query: str = "", user: str = "alice") -> str:
        received = self.get(f"/admin{query}", basic(user))
        assert received.status == 200, received.body
        return received.body.decode()

    def token(self, user: str = "alice") -> str:
        (token, *_) = re.findall(r'name="token" value="([0-9a-f]+)"', self.page(user=user))
        return str(token)

    def post(
        self,
        name: str,
        fields: str,
        *lines: str,
        user: str | None = "alice",
        host: str = "cr.test",
        peer: IAddress = LOCAL,
        own: bool = False,
    ) -> Received:
        browser = self.browser(peer, own=own)
        known = () if user is None else (basic(user),)
        header = [f"POST /admin/{name} HTTP/1.1", f"Host: {host}", *known, f"Content-Length: {len(fields)}", *lines]
        browser.send("\r\n".join([*header, "", fields]).encode("latin-1"))
        for _ in range(5):
            self.network.advance(0)
        return browser.received()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return make_house(tmp_path)


def make_house(path: Path, trusted: tuple[ClientNetwork, ...] = ()) -> House:
    network = Network()
    clock = network.clock
    clock.advance(1_000_000)
    clients = Clients(users={"alice": HASHED, "bob": HASHED}, admins=frozenset({"alice"}))
    current = Current(Config(NAMES, clients=clients, listen=Listen(trusted_proxies=trusted)))
    store = make_store(path, clock)
    client = Client(clock)
    inventory = Inventory(path / "index.sqlite", store.blobs)
    work = CacheWork(store, inventory, threads, Names, clock, Pins(store.index, inventory, threads))
    pullthrough = pull_through(client, store, clock)
    warming = Warming(pullthrough, store, lambda repository: None, clock)
    tags = tag_work(store, pullthrough, current, clock)
    jobs, streams = Jobs(clock.seconds, Counts()), Counts()
    records: list[Record] = []
    house: House

    async def overview() -> Overview:
        return replace(house.overview, now=clock.seconds())

    assets = Assets()
    actions = Actions(store, work, tags, warming, jobs, clock)
    sources = Sources(overview, work.images, lambda: look_at_tags(tags), actions, Streams(streams, clock), assets.url)
    login = Login(current, Passwords(threads, clock), None, Signer(lambda: KEY, clock), clock)  # type: ignore[arg-type]
    accounts = Accounts(current, clock)

    wrong = wrong_logins(OwnLevels(), clock)

    def gate(*, is_own: bool) -> Gate:
        return Gate(current, login, accounts, wrong, KEY, is_own=is_own)

    root = Branch()
    root.putChild(b"admin", OperatorPage(gate(is_own=False), sources))
    site = PlainSite.make(root, "registry", clock, records.append)
    own = make_own_site(gate(is_own=True), sources, assets, clock, records.append)
    house = House(
        network, current, Shelving(store), client, jobs, streams, site, own, records, Overview(clock.seconds())
    )
    return house


def text(page: str) -> str:
    """What somebody reads, without the markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.replace("<wbr>", ""))).split())
