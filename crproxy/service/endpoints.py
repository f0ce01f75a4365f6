"""Where clients come in: an endpoint, whose connections are counted, behind a PROXY header where it has one."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.haproxy import proxyEndpoint

from ..config import Listen
from ..limits import Accounts
from ..limits.accepting import Accepting, FromProxies
from ..policy.endpoints import PROXIED

__all__ = ["client_endpoint", "counted"]


def client_endpoint(
    description: str, endpoint: IStreamServerEndpoint, listen: Listen, reactor: Any
) -> IStreamServerEndpoint:
    """Return ``endpoint``, which ``description`` says; a PROXY header is believed from trusted proxies alone.

    PROXY protocol, 5: "The receiver MUST NOT try to guess whether the protocol header is present or not", and it
    "should always have a way to know" who may send one.
    """
    if not description.startswith(PROXIED):
        return endpoint
    return proxyEndpoint(FromProxies(endpoint, listen.trusted_proxies, reactor))


def counted(
    description: str, inside: IProtocolFactory, refusing: IProtocolFactory, accounts: Accounts, reactor: Any
) -> IProtocolFactory:
    """Return what lets connections to that endpoint in to ``inside``, or to ``refusing`` where they are too many."""
    return Accepting(inside, refusing, accounts, reactor, proxied=description.startswith(PROXIED))
