"""The site: what is where below a host's root."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from .. import __version__
from .registry import RegistryResource

__all__ = ["make_site"]

_WELCOME = """crproxy {version}: a registry proxy.

Pull an image by putting this host in front of its name:

    docker pull {host}/quay.io/ORG/NAME:TAG
"""


def make_site(registry: RegistryResource) -> Site:
    """Return the site that serves ``registry`` below /v2."""
    root = _Root()
    root.putChild(b"v2", registry)
    site = Site(root)
    site.displayTracebacks = False
    return site


class _Root(Resource):
    """What people see who open the host in a browser."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self if path == b"" else super().getChild(path, request)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        host = (request.getHeader("host") or "HOST").encode("ascii", "replace").decode()
        return _WELCOME.format(version=__version__, host=host).encode()
