from __future__ import annotations

import pytest
from treq.client import HTTPClient
from twisted.web.iweb import IResponse

from crproxy.upstream.agent import send
from crproxy.upstream.fields import field_lines, field_value
from tests.memory import Network, ended


@pytest.fixture
def response(network: Network, http: HTTPClient) -> IResponse:
    network.serve("https://quay.io", b"HTTP/1.1 200 OK\r\nX-A: \xff\xfe\r\nX-a: b\r\nContent-Length: 0\r\n\r\n")
    asked = send(http, "GET", "https://quay.io/", {}, 30, network.clock)
    network.pump()
    answered: IResponse = ended(asked)
    return answered


def test_any_byte_is_a_character(response: IResponse) -> None:
    assert field_lines(response, "x-a") == ["\xff\xfe", "b"]
    assert field_value(response, "x-a") == "\xff\xfe"


def test_where_there_is_none(response: IResponse) -> None:
    assert field_lines(response, "x-b") == []
    assert field_value(response, "x-b") is None
