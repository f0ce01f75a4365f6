from __future__ import annotations

from pathlib import Path

import pytest

from crproxy.config import Admin, Config, Forward, Listen, Metrics
from crproxy.policy.routing import Names
from crproxy.service.port_plans import PortPlan, port_plans
from crproxy.transports.servers import Turns


def plans(config: Config) -> list[PortPlan]:
    return list(port_plans(config))


def test_without_a_word_it_is_this_machine_and_the_operator(tmp_path: Path) -> None:
    config = Config(data_dir=str(tmp_path))
    (http,) = config.listen.http
    assert plans(config) == [
        PortPlan(http, "http"),
        PortPlan(f"unix:{tmp_path}/admin.sock:mode=660", "admin", "", optional=True),
    ]


def test_each_endpoint_has_one_in_their_order() -> None:
    listen = Listen(http=("tcp:80", "haproxy:tcp:81"), https=("tcp:443", "tcp:8443"), admin="unix:/x")
    forward = Forward(listen=("tcp:3128", "tcp:3129"), listen_tls=("tcp:3130",))
    found = plans(Config(listen=listen, admin=Admin("unix:/p"), metrics=Metrics("tcp:9090"), forward=forward))
    assert [(plan.description, plan.scheme) for plan in found] == [
        ("tcp:443", "https"),
        ("tcp:8443", "https"),
        ("tcp:80", "http"),
        ("haproxy:tcp:81", "http"),
        ("unix:/x", "admin"),
        ("unix:/p", "page"),
        ("tcp:9090", "metrics"),
        ("tcp:3128", "proxy"),
        ("tcp:3129", "proxy"),
        ("tcp:3130", "proxy_tls"),
    ]


def test_where_nobody_listens_there_is_none() -> None:
    assert plans(Config(listen=Listen((), admin=""))) == []


@pytest.mark.parametrize(
    ("https", "known_as"), [((), {"http": None}), (("tcp:443",), {"http": "", "https": "cr.test"})]
)
def test_images_are_pulled_by_tls_where_there_is_any(https: tuple[str, ...], known_as: dict[str, str | None]) -> None:
    found = plans(Config(Names("cr.test", {}), listen=Listen(("tcp:80",), https=https, admin="")))
    assert {plan.scheme: plan.known_as for plan in found} == known_as


def test_no_image_is_named_after_the_operator_monitoring_or_the_http_proxy() -> None:
    config = Config(listen=Listen((), admin="unix:/x"), metrics=Metrics("tcp:9090"), forward=Forward(("tcp:3128",)))
    assert [(plan.scheme, plan.known_as) for plan in plans(config)] == [("admin", ""), ("metrics", ""), ("proxy", "")]


def test_only_an_admin_socket_that_nobody_asked_for_is_one_to_do_without(tmp_path: Path) -> None:
    asked_for = Listen(("tcp:80",), admin="unix:/x")
    assert not any(plan.optional for plan in plans(Config(listen=asked_for, metrics=Metrics("tcp:9090"))))
    found = plans(Config(data_dir=str(tmp_path), metrics=Metrics("tcp:9090")))
    assert [plan.scheme for plan in found if plan.optional] == ["admin"]


@pytest.mark.parametrize(
    ("scheme", "turns"),
    [
        ("https", Turns.FIRST),
        ("fleet", Turns.FIRST),
        ("proxy_tls", Turns.FIRST),
        ("proxy", Turns.LATER),
        ("http", Turns.NEVER),
        ("admin", Turns.NEVER),
        ("metrics", Turns.NEVER),
    ],
)
def test_when_connections_turn_to_tls(scheme: str, turns: Turns) -> None:
    assert PortPlan("tcp:1", scheme).turns is turns
