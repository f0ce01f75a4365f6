from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.testing import MemoryReactorClock

from crproxy.config import Config, ConfigError, Fleet, ValkeyAddress
from crproxy.fleet.fleet import make_fleet
from crproxy.sharing import Alone
from tests.sharing.crew import Crew

ADDRESS = ValkeyAddress("127.0.0.1", 6379)


def config(address: ValkeyAddress = ADDRESS) -> Config:
    return Config(fleet=Fleet(address, "https://a:1", ("tcp:1",), "s" * 32, "a"))


def test_without_a_word_there_is_none() -> None:
    assert make_fleet(Config(), Alone(), MemoryReactorClock(), lambda: 0.0) is None


def test_it_is_alone_until_it_is_started() -> None:
    fleet = make_fleet(config(), Alone(), MemoryReactorClock(), lambda: 0.0)
    assert fleet is not None
    assert not fleet.is_up
    assert len(fleet.leases) == 0


def test_each_worker_has_a_part_in_it() -> None:
    crew = Crew()
    parts = [make_fleet(config(), crew.member(slot), MemoryReactorClock(), lambda: 0.0) for slot in range(2)]
    runs = {part.sharing.sender.run for part in parts if part is not None}
    assert len(runs) == 1


def test_a_host_that_no_certificate_can_be_for_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"fleet\.valkey: "):
        make_fleet(config(ValkeyAddress("a_b", 1, tls=True)), Alone(), MemoryReactorClock(), lambda: 0.0)


@pytest.mark.parametrize("missing", ["txredisapi"])
def test_what_is_not_installed_is_said_with_what_to_do(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "crproxy.fleet.protocol", raising=False)
    monkeypatch.delattr("crproxy.fleet.protocol", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'crproxy\[fleet\]'"):
        make_fleet(config(), Alone(), MemoryReactorClock(), lambda: 0.0)


def test_who_is_in_no_fleet_imports_nothing_of_it() -> None:
    script = (
        "import sys; from twisted.internet.task import Clock; from crproxy.config import Config; "
        "from crproxy.fleet.fleet import make_fleet; from crproxy.sharing import Alone; "
        "make_fleet(Config(), Alone(), Clock(), float); "
        "sys.exit(bool({'txredisapi', 'hiredis', 'twisted.internet.reactor'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
