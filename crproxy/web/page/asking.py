"""A request for the page: what it asks for, of which host, in which language. Raises what cannot be answered."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from twisted.web.server import Request

from ...config import Config
from ...oci.errors import ErrorCode, RegistryError
from ...oci.names import Registry
from ...policy.external_address import ExternalAddress, external_address
from ...policy.routing import host_name, place
from ..authentication import auth_request
from ..request import field_of
from .converting import Conversion, convert
from .preferences import language_of
from .texts import Language

__all__ = ["Asking", "asking_of"]

# image, lang, and what other sites append to links.
_FIELDS = 16


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked for.

    Arguments:
        address: the host that is asked, and how images are asked for there.
        registry: what that host stands for; None is all of them.
        host: its name, as configured, and its port.
        conversion: of what was pasted.
        language: of the answer.
        chosen: the language was chosen, not found in a header.
        secure: it came by TLS.
        client: who asks, as an IP address, where that is known.
    """

    address: ExternalAddress
    registry: Registry | None
    host: str | None
    conversion: Conversion
    language: Language
    chosen: bool
    secure: bool
    client: str | None = None


def asking_of(request: Request, config: Config) -> Asking:
    """Return what ``request`` asks for.

    Raises:
        RegistryError: 421 where its host is not ours, 400 where its query cannot be read.
    """
    auth = auth_request(request, config.listen.trusted_proxies)
    registry = place(config.names, auth.host)
    address = external_address(config.names, auth.host, secure=auth.secure)
    fields = _fields(request)

    return Asking(
        address,
        registry,
        address.base if registry is None else f"{host_name(auth.host)}{address.port}",
        convert(fields.get("image", ""), address, config.serves(auth.client)),
        language_of(fields.get("lang"), field_of(request, b"accept-language")),
        fields.get("lang") in {language.value for language in Language},
        auth.secure,
        auth.client,
    )


def _fields(request: Request) -> dict[str, str]:
    query = request.uri.partition(b"?")[2].decode("latin-1")
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS, errors="replace"))
    except ValueError:
        raise RegistryError(ErrorCode.UNSUPPORTED, "there are too many fields in this address", status=400) from None
