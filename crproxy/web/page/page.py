"""``/``: what people see who open the domain or an alias in a browser; ``/convert``, which the page's script asks; and
``/ca.pem``, which clients of the HTTP proxy trust.

Clients that do not ask for HTML, such as curl, get a few lines of text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from twisted.web.resource import IResource
from twisted.web.server import Request

from ... import __version__
from ...config import Config
from ...oci.errors import ErrorCode, RegistryError
from ...oci.names import DOCKER_HUB, Registry
from ...policy.aliases import BUILT_IN
from ...policy.external_address import ExternalAddress
from ...policy.pull_commands import PullMethod
from ...policy.request_ids import with_id
from ..branch import Branch
from ..error_pages import error_page
from ..request import field_of, id_of
from .asking import Asking, asking_of
from .assets import PATH, Assets
from .clients import sections_of
from .pasted_files import PASTED_FORMS, Pasted, pasted_of, plain_document
from .preferences import wants_html
from .proxied import PATH as CA_PATH
from .proxied import Proxied, ReadAuthorities, proxied_of
from .rendering import Words, render
from .state import ReadState
from .texts import Language

__all__ = ["PageResource"]

_WELCOME = """crproxy {version}: a registry proxy.

Pull an image by putting this host in front of its name:

    docker pull {host}/{image}
"""

_EXAMPLES = ("nginx", "mysql:8.4", "quay.io/prometheus/busybox", "FROM golang:1.25 AS build")

_HEADERS = {
    # Nothing but what is served from here: no inline script or style, no frame around it.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Server": f"crproxy/{__version__}",
}

Answer = Callable[[Request, Config], bytes]


class _Readable(Branch):
    """Can be read, at hosts of ours."""

    def __init__(
        self, current: Callable[[], Config], answer: Answer, methods: tuple[str, ...] = ("GET", "HEAD")
    ) -> None:
        super().__init__()
        self._current = current
        self._answer = answer
        self._methods = methods

    def render(self, request: Request) -> bytes | int:
        """Answer (IResource)."""
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        if request.method.decode("latin-1") not in self._methods:
            request.setHeader("Allow", ", ".join(self._methods))
            return error_page(request, 405, "This can only be read.")
        try:
            return self._answer(request, self._current())
        except RegistryError as error:
            if error.retry_after is not None:
                request.setHeader("Retry-After", str(error.retry_after))
            return error_page(request, error.status, error.message)


class PageResource(_Readable):
    """The root of a site.

    Arguments:
        current: returns the configuration that counts now.
        read_state: returns how this proxy is doing.
        authorities: returns the CAs that clients of the HTTP proxy are to trust.
        count_request: counts one of a client's (its IP address, where it is known) that takes time to answer, or
            raises TOOMANYREQUESTS.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        read_state: ReadState,
        authorities: ReadAuthorities = tuple,
        count_request: Callable[[str | None], None] = lambda client: None,
    ) -> None:
        super().__init__(current, self._welcome)
        self._read_state = read_state
        self._authorities = authorities
        self._count_request = count_request
        self._assets = Assets()
        self.putChild(PATH.encode("ascii"), self._assets)
        self.putChild(b"convert", _Readable(current, _convert))
        self.putChild(b"rewrite", _Readable(current, self._rewrite, ("GET", "HEAD", "POST")))
        self.putChild(CA_PATH.encode("ascii"), _Readable(current, self._authority))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return what is below it where there is nothing (IResource)."""
        return self if path == b"" else super().getChild(path, request)

    def _welcome(self, request: Request, config: Config) -> bytes:
        request.setHeader("Vary", "Accept, Accept-Language")
        asking = asking_of(request, config)
        if not wants_html(field_of(request, b"accept")):
            return _text(request, asking)
        if config.page.redirect is not None:
            request.redirect(config.page.redirect.encode("ascii"))
            return b""
        return self._page(request, config, asking)

    def _page(self, request: Request, config: Config, asking: Asking, pasted: Pasted | None = None) -> bytes:
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        request.setHeader("Content-Language", asking.language.tag)
        address, kept = asking.address, asking.language.value if asking.chosen else ""
        login = config.clients.users is not None
        return render(
            "page.html",
            t=Words(asking.language),
            asking=asking,
            conversion=asking.conversion,
            pasted=pasted,
            forms=PASTED_FORMS if address.base is not None and address.names.aliases else (),
            address=address,
            kinds=[kind.value for kind in PullMethod],
            kept=kept,
            other=Words(asking.language.other),
            other_link=_link(asking.language.other, asking.conversion.pasted),
            other_tag=asking.language.other.tag,
            examples=[(example, _link(asking.language if kept else None, example)) for example in _EXAMPLES],
            addresses=list(_addresses(address)),
            setups=sections_of(address, login=login),
            login=login,
            proxied=self._proxied(asking, config),
            state=self._read_state() if config.page.state else None,
            asset=self._assets.url,
            version=__version__,
        )

    def _rewrite(self, request: Request, config: Config) -> bytes:
        """Answer ``/rewrite``: a whole file, as the page, as its script, or as a command sends it."""
        request.setHeader("Vary", "Accept, Accept-Language")
        asking = asking_of(request, config)
        accepted = field_of(request, b"accept")
        if request.method != b"POST":
            return self._page(request, config, asking)
        self._count_request(asking.client)
        pasted = pasted_of(request, config, asking)
        if accepted == "application/json":
            request.setHeader("Content-Type", "application/json")
            return plain_document(pasted, Words(asking.language))
        if wants_html(accepted):
            return self._page(request, config, asking, pasted)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        if pasted.mistake and not pasted.rewritten:
            request.setResponseCode(400)
            return f"{with_id(Words(asking.language).plain(pasted.mistake), id_of(request))}\n".encode()
        return pasted.rewritten.encode()

    def _proxied(self, asking: Asking, config: Config) -> Proxied | None:
        try:
            return proxied_of(asking, config, self._authorities)
        except RegistryError:
            return None

    def _authority(self, request: Request, config: Config) -> bytes:
        """Answer ``/ca.pem``."""
        found = proxied_of(asking_of(request, config), config, self._authorities)
        if found is None:
            raise RegistryError(ErrorCode.NAME_UNKNOWN, "there is no CA here: this is no HTTP proxy for clients")
        request.setHeader("Content-Type", "application/x-pem-file")
        request.setHeader("Content-Disposition", 'attachment; filename="crproxy-ca.pem"')
        return found.pem.encode("ascii")


def _convert(request: Request, config: Config) -> bytes:
    """Answer ``/convert?image=``: the same as the page, for its script."""
    asking = asking_of(request, config)
    words, conversion = Words(asking.language), asking.conversion
    status = words.plain("status_ways", image=conversion.image, count=len(conversion.lines))
    mistake = words.plain(conversion.mistake) if conversion.mistake else ""
    document = {
        "image": conversion.image,
        "lines": [
            {"kind": line.kind.value, "text": line.text, "parts": [line.before, line.host, line.after]}
            for line in conversion.lines
        ],
        "notes": [words.plain(note) for note in conversion.notes],
        "mistake": mistake,
        "status": status if conversion.lines else mistake,
    }
    request.setHeader("Content-Type", "application/json")
    request.setHeader("Vary", "Accept-Language")
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"


def _text(request: Request, asking: Asking) -> bytes:
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    image = "quay.io/ORG/NAME:TAG" if asking.registry is None else "ORG/NAME:TAG"
    return _WELCOME.format(version=__version__, host=asking.host, image=image).encode()


def _link(language: Language | None, pasted: str) -> str:
    """Return a link to the page itself."""
    fields = {"lang": "" if language is None else language.value, "image": pasted}
    return "?" + urlencode({name: value for name, value in fields.items() if value})


def _addresses(address: ExternalAddress) -> Iterator[tuple[Registry, str]]:
    """Give registries, and what stands in front of a path in each; Docker Hub, which is asked most, first."""
    hosts = [(registry, f"{host}{address.port}") for host, registry in address.names.aliases.items()]
    if not hosts and address.base is not None:
        hosts = [(registry, f"{address.base}/{registry}") for registry in set(BUILT_IN.values())]
    yield from sorted(hosts, key=lambda found: (found[0] != DOCKER_HUB, found))
