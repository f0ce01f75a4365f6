"""A node, and what asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crproxy.fleet.asking_nodes import AskingNodes
from tests.fleet.nodes import REACTOR, Node
from tests.fleet.test_identity import NOW, SECRET
from tests.reactor import wait_for


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    wait_for(node.flights.stop())
    wait_for(node.service.stopService())


@pytest.fixture
def asks() -> Iterator[AskingNodes]:
    asking = AskingNodes(SECRET.identity(NOW).client, 10, 10, REACTOR)
    yield asking
    wait_for(asking.close())
