from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.nodes import Node, Nodes
from tests.fleet.fake import FakeValkey
from tests.fleet.test_codecs import anything
from tests.logs import Log
from tests.memory import ended
from tests.outcomes import outcome

OWN = Node("a", "https://a:1", "1.2", 1000.0, 2, "run-a", {})
OTHER = replace(OWN, name="b", url="https://b:1", run="run-b")
SAME_NAME = replace(OTHER, name="a")


class TestNodes:
    def setup_method(self) -> None:
        self.clock, self.fake = Clock(), FakeValkey()
        self.numbers = {"flights": 1.0}
        self.nodes = Nodes(self.fake.valkey, OWN, lambda: self.numbers, self.clock)
        self.nodes.start()

    def beat(self, before: Node | None) -> Node:
        """Let it say that it is there, where this is what lay there; return what it says."""
        self.clock.advance(1)
        question = self.fake.next()
        _, *keys, name, value, milliseconds = question.words
        assert (keys, name, milliseconds) == (["fake:node:a", "fake:nodes"], "a", 5000)
        question.answer(b"" if before is None else before.to_json().encode())
        return Node.parse(value.encode())

    def test_it_says_each_second_what_it_holds(self) -> None:
        assert self.beat(None) == replace(OWN, numbers={"flights": 1})
        self.numbers["flights"] = 2
        assert self.beat(OWN).numbers == {"flights": 2}
        assert self.fake.questions == []

    def test_it_says_so_as_soon_as_valkey_is_there(self) -> None:
        self.fake.come_back()
        assert len(self.fake.questions) == 1

    def test_where_it_is_away_it_goes_on(self) -> None:
        self.fake.is_up = False
        self.clock.pump([1] * 3)
        self.fake.is_up = True
        self.beat(None)

    def test_another_of_the_same_name_is_told_of_once(self) -> None:
        with Log() as log:
            self.beat(None)
            for _ in range(3):
                self.beat(SAME_NAME)
            self.beat(OWN)
        assert len(log.complaints) == 1
        assert "another node is called a, too, at https://b:1" in log.complaints[0]

    def test_who_was_here_before_is_none(self) -> None:
        with Log() as log:
            self.beat(SAME_NAME)
            self.beat(OWN)
            self.clock.advance(1)
            self.fake.next().fail()
            self.beat(SAME_NAME)
            self.beat(OWN)
        assert log.complaints == []

    def test_who_else_is_there(self) -> None:
        asking = Deferred.fromCoroutine(self.nodes.nodes())
        question = self.fake.next()
        assert question.words == ("ZRANGE", "fake:nodes", 0, -1)
        question.answer([b"b", b"a", b"gone", b"new"])
        question = self.fake.next()
        assert question.words == ("MGET", "fake:node:b", "fake:node:a", "fake:node:gone", "fake:node:new")
        question.answer([OTHER.to_json().encode(), OWN.to_json().encode(), None, b"another version's"])
        assert ended(asking) == [OWN, OTHER]

    def test_nobody_is(self) -> None:
        asking = Deferred.fromCoroutine(self.nodes.nodes())
        self.fake.next().answer([])
        assert ended(asking) == []

    def test_alone_it_knows_itself(self) -> None:
        self.fake.is_up = False
        assert ended(Deferred.fromCoroutine(self.nodes.nodes())) == [replace(OWN, numbers={"flights": 1.0})]

    def test_at_the_end_it_says_so(self) -> None:
        said = self.beat(None)
        stopping = Deferred.fromCoroutine(self.nodes.stop())
        question = self.fake.next()
        assert Node.parse(question.words[-1].encode()) == said
        question.answer(1)
        ended(stopping)
        assert self.clock.getDelayedCalls() == []
        self.fake.come_back()
        assert self.fake.questions == []

    def test_where_nothing_was_said_there_is_nothing_to_take_back(self) -> None:
        ended(Deferred.fromCoroutine(self.nodes.stop()))
        assert self.fake.questions == []

    def test_one_worker_speaks_for_all(self) -> None:
        Nodes(self.fake.valkey, OWN, dict, clock := Clock(), beats=False).start()
        assert clock.getDelayedCalls() == []


@given(
    st.builds(
        Node,
        st.text("abc", min_size=1),
        st.just("https://n:1"),
        st.text("1.", min_size=1, max_size=9),
        st.floats(0, 1e10),
        st.integers(1, 256),
        st.text("abc", min_size=1),
        st.dictionaries(st.text(max_size=9), st.floats(0, 1e18)),
    )
)
def test_what_is_said_is_what_is_heard(node: Node) -> None:
    assert Node.parse(node.to_json().encode()) == node


@given(st.binary() | anything.map(lambda said: json.dumps(said).encode()))
def test_anything_is_a_node_or_none(value: bytes) -> None:
    assert isinstance(outcome(ValueError, Node.parse, value), Node | ValueError)


@pytest.mark.parametrize("key", ["name", "url", "version", "since", "workers", "run", "numbers"])
@pytest.mark.parametrize("value", [None, [], "", "\n", {"a": "b"}, True, "http://n"])
def test_what_is_wrong_in_it(key: str, value: object) -> None:
    said = json.loads(OWN.to_json()) | {key: value}
    if (key, value) not in [("name", "http://n"), ("version", "http://n"), ("run", "http://n")]:
        with pytest.raises(ValueError, match="it"):
            Node.parse(json.dumps(said).encode())


def test_what_a_later_version_adds_does_no_harm() -> None:
    said = json.loads(OWN.to_json()) | {"more": 1}
    assert Node.parse(json.dumps(said).encode()) == OWN
