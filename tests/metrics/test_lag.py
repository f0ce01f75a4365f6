from __future__ import annotations

from twisted.internet.task import Clock

from crproxy.metrics import Lag


def test_how_late_it_is_called_is_told() -> None:
    clock, told = Clock(), list[float]()
    lag = Lag(told.append, clock)
    lag.startService()
    clock.advance(1)
    clock.advance(1.25)
    clock.advance(0.75)
    clock.advance(3.5)
    clock.advance(0.5)
    assert told == [0, 0.25, 0, 2.5, 0]
    lag.stopService()
    assert clock.getDelayedCalls() == []
