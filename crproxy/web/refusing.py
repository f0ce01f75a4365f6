"""What is answered on connections that are too many: 429 (RFC 6585, 4), and to come back on fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request

from ..oci.errors import ErrorCode, RegistryError
from ..policy.clients import Network
from ..policy.request_ids import error_with_id
from .request import Observe, id_of
from .site import PlainSite

__all__ = ["make_refusing_site"]

_RETRY_AFTER = 5


def make_refusing_site(
    reactor: IReactorTime, trusted: Callable[[], Sequence[Network]] = tuple, observe: Observe | None = None
) -> PlainSite:
    """Return the site of connections that are too many.

    Arguments:
        reactor: times them.
        trusted: returns the networks of proxies whose ids of requests count.
        observe: is told of each request that is over.
    """
    site = PlainSite.make(_Refusal(), "refusing", reactor, observe)
    site.trusted = trusted
    return site


class _Refusal(Resource):
    """Answers everything, and has the connection closed."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        error = RegistryError(
            ErrorCode.TOOMANYREQUESTS,
            f"you have too many connections to this proxy; try again in {_RETRY_AFTER} s, on fewer",
            retry_after=_RETRY_AFTER,
        )
        error = error_with_id(error, id_of(request))
        request.setResponseCode(error.status)
        for name, value in {**error.headers(), "Connection": "close"}.items():
            request.setHeader(name, value)
        request.channel.persistent = False
        return error.body()
