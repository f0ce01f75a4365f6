"""A process of its own that takes a lease and says so: to be killed.

By arguments: Valkey's port, the node's name, what to take.
"""

from __future__ import annotations

import sys
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from crproxy.config import Config, Fleet, ValkeyAddress
from crproxy.fleet.fleet import make_fleet
from crproxy.fleet.leases import Lease
from crproxy.sharing import Alone


async def main(port: int, name: str, what: str) -> None:
    fleet = Fleet(ValkeyAddress("127.0.0.1", port), f"https://{name}.example:1", ("tcp:1",), "s" * 32, name, "test")
    member = make_fleet(Config(fleet=fleet), Alone(), reactor, time.time)
    assert member is not None
    up: Deferred[None] = Deferred()
    member.valkey.on_up(lambda: up.callback(None))
    member.start()
    await up
    lease = await member.leases.take(what)
    assert isinstance(lease, Lease)
    member.sharing.count("connections").add("192.0.2.1", 5)
    print(f"has {what} with {lease.token}", flush=True)
    await lease.lost
    print("lost it", flush=True)


if __name__ == "__main__":
    Deferred.fromCoroutine(main(int(sys.argv[1]), *sys.argv[2:]))
    reactor.run()
