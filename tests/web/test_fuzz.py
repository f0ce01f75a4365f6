"""Whatever a client sends, in memory; `make fuzz` sends it to the real daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from twisted.internet.defer import Deferred, fail, succeed
from twisted.web.server import Site

from crproxy.admin.alias_file import AliasChange
from crproxy.admin.site import make_admin_site
from crproxy.config import Config, ConfigError
from crproxy.oci.digests import Digest
from crproxy.oci.media_types import INDEX
from crproxy.policy.audit import Format, Record, write_line
from crproxy.web.plain import make_plain_site
from crproxy.web.request import ObservedSite
from tests.logs import Log
from tests.memory import Network, Seen, answer
from tests.parts.grammar import Conversation, World
from tests.parts.wire import read_answers
from tests.strategies import conversations
from tests.web.conftest import NAMES, Browser

# JSON, since a list is said to be that.
# A manifest, a list of tags, and a blob.
BODY = b'{"schemaVersion": 2, "manifests": [], "tags": []}'
DIGEST = str(Digest.of(BODY))
WORLD = World(
    hosts=("cr.test", "cr.test", "docker.cr.test", "quay.cr.test:443", "nobody.cr.test"),
    registries=("quay.io", "docker.io", "127.0.0.1:5000", "localhost"),
    repositories=("org/name", "nginx"),
    digests=(DIGEST, "sha256:" + "0" * 64, "sha512:" + "0" * 128, "sha256:" + "A" * 64),
    tags=("v1", "a" * 128, "a" * 129, ".x"),
)
MANY = settings(
    max_examples=400,
    # Made smaller by its draws a conversation stays what it is, after minutes.
    phases=[Phase.generate],
)


class Everywhere(dict[str, Any]):
    """Every origin is this upstream."""

    def get(self, key: str, default: Any = None) -> Callable[[Seen], bytes]:
        return upstream

    def __getitem__(self, key: str) -> Callable[[Seen], bytes]:
        return upstream


def upstream(seen: Seen) -> bytes:
    path = seen.target.partition("?")[0]
    if not path.endswith((DIGEST, "/v1", "/tags/list")):
        return answer(404)
    return answer(200, b"" if seen.method == "HEAD" else BODY, f"Content-Type: {INDEX}", length=len(BODY))


@pytest.fixture
def everywhere(network: Network) -> Network:
    network.hosts = Everywhere()
    return network


def converse(site: Site, network: Network, conversation: Conversation) -> None:
    """Send it; every request is told of, no more and no less often than it is answered, and nothing fails."""
    records: list[Record] = []
    assert isinstance(site, ObservedSite)
    site.observe = records.append
    browser = Browser(site, network)
    with Log(collects=False) as log:
        for piece in conversation.pieces:
            browser.send(piece)
        network.advance(5)
        sent, ended = browser.wire.value(), browser.wire.disconnecting
        browser.leave()
        assert log.failures == []
    answers = read_answers(sent, conversation.methods if conversation.sound else None, ended=ended)
    assert all(answered.status < 500 for answered in answers)
    if conversation.sound:
        assert len(answers) == len(conversation.methods)
        assert [record.status for record in records] == [answered.status for answered in answers]
    for record in records:
        for style in Format:
            assert write_line(record, style).isascii()


@MANY
@given(conversation=conversations(WORLD))
def test_whatever_is_sent_to_the_registry_is_answered(
    everywhere: Network, site: Site, conversation: Conversation
) -> None:
    converse(site, everywhere, conversation)


@MANY
@given(conversation=conversations(WORLD))
def test_whatever_is_sent_in_the_clear_is_answered(network: Network, conversation: Conversation) -> None:
    converse(make_plain_site(lambda _: None, None, lambda: Config(NAMES), 443, network.clock), network, conversation)


def unable(label: str, registry: str) -> Deferred[AliasChange]:
    """No alias can be set."""
    return fail(ConfigError(f"{label} is no label"))


@MANY
@given(conversation=conversations(WORLD))
def test_whatever_is_sent_to_the_admin_socket_is_answered(network: Network, conversation: Conversation) -> None:
    converse(make_admin_site(dict, unable, lambda: succeed([]), network.clock), network, conversation)
