"""What an upstream's refusal means to our client: statuses and words.

The table of answers: 404 only where upstream said so, and 404 never becomes 403. Every message names the upstream and
what it said.
"""

from __future__ import annotations

import email.utils
import enum

from ..oci.documents import NotJson, parse_json
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from .quirks import quirks
from .redaction import redacted

__all__ = ["RETRY_AFTER", "Asker", "Unconfirmed", "bad_gateway", "parse_retry_after", "refusal", "unavailable"]

# Seconds a client waits before it asks for what upstream could not give.
RETRY_AFTER = 10
_QUOTA_RETRY_AFTER = 60
_LONGEST_RETRY_AFTER = 24 * 3600
# "Sunday, 06-Nov-94 08:49:37 GMT" is the longest form of a date (RFC 9110, 5.6.7).
_LONGEST_DATE = 64
# Of an error's message: what is looked through for secrets, and what is repeated of it.
_READ_WORDS, _SAID_WORDS = 4096, 300


class Asker(enum.Enum):
    """As whom a registry was asked."""

    ANYBODY = enum.auto()
    PROXY = enum.auto()
    CLIENT = enum.auto()


class Unconfirmed(RegistryError):
    """A refusal that the registry itself may not have written, and that takes nothing away.

    A 404 that does not look like a registry's, which a server in front may have written; or what another host answered
    that it redirects to.
    """


def unavailable(registry: Registry, why: str, retry_after: int = RETRY_AFTER) -> RegistryError:
    """Return the answer to a request that ``registry`` could not be asked, or did not answer properly."""
    return RegistryError(ErrorCode.UNAVAILABLE, f"{registry} is not available: {why}", retry_after=retry_after)


def bad_gateway(registry: Registry, what: str) -> RegistryError:
    """Return the answer to a request that something else stood in for ``registry`` with, or that it answered wrongly.

    Such as a guest network's login page: what is kept is served as if it had not answered.
    """
    return RegistryError(
        ErrorCode.UNAVAILABLE, f"{registry} is not available: it sent {what}", status=502, retry_after=RETRY_AFTER
    )


def refusal(
    registry: Registry,
    what: str,
    unknown: ErrorCode,
    status: int,
    body: bytes = b"",
    retry_after: int | None = None,
    *,
    asker: Asker = Asker.ANYBODY,
    own: bool = False,
    elsewhere: bool = False,
) -> RegistryError:
    """Return what our client is told when ``registry`` answered ``status``.

    Arguments:
        what: what was asked for, for the message.
        unknown: what a 404 means here.
        body: upstream's own words, in the specification's error document or not.
        retry_after: upstream's, in seconds.
        asker: as whom it was asked.
        own: the answer's header shows that a registry wrote it; else the body may.
        elsewhere: it came from another host, to which the registry redirects.
    """
    said = f"{registry} answered {status}{_own_words(body)}"
    match status:
        case 404 | 410:
            kind = RegistryError if own or _is_error_document(body) else Unconfirmed
            return kind(unknown, f"{what} is not there: {said}")
        case 401 | 403:
            denied = Unconfirmed if elsewhere else RegistryError
            return denied(ErrorCode.DENIED, f"{what} is refused: {said}{_denied_hint(registry, asker)}")
        case 451:
            # Not for us to have, whoever we are (RFC 7725).
            return RegistryError(ErrorCode.DENIED, f"{what} is refused: {said}")
        case 429:
            wait = _QUOTA_RETRY_AFTER if retry_after is None else retry_after
            return RegistryError(ErrorCode.TOOMANYREQUESTS, f"{said}; ask again in {wait} s", retry_after=wait)
        case 400 | 405 | 406 | 414 | 416:
            return RegistryError(ErrorCode.UNSUPPORTED, f"{what}: {said}", status=status)
        case _:
            return unavailable(registry, f"{what}: {said}", RETRY_AFTER if retry_after is None else retry_after)


def parse_retry_after(value: str | None, now: float) -> int | None:
    """Return the seconds that a ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date) asks to wait, a day at most.

    Arguments:
        now: seconds since the epoch, for the date form.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]), _LONGEST_RETRY_AFTER)
    if len(text) > _LONGEST_DATE:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(0, min(round(moment - now), _LONGEST_RETRY_AFTER))


def _denied_hint(registry: Registry, asker: Asker) -> str:
    peculiar = quirks(registry).denied
    known = "" if peculiar is None else f" ({peculiar})"
    table = f'[upstreams."{registry}"] of this proxy'
    match asker:
        case Asker.CLIENT:
            return f"{known}; it was asked with your own login there"
        case Asker.PROXY:
            return (
                f"{known}; this proxy has a login there: whoever runs it may check username and password under {table}"
            )
        case Asker.ANYBODY:
            return f"{known}; if it is private, its username and password belong under {table}"


def _own_words(body: bytes) -> str:
    words = _error_message(body)
    printable = "".join(character if character.isprintable() else " " for character in words[:_READ_WORDS])
    if len(words) > _READ_WORDS:
        # A secret that was cut may not look like one any more.
        printable = printable.rpartition(" ")[0]
    # It may repeat what it was sent, and this goes to whoever asked, and into the log.
    return f": {redacted(printable)[:_SAID_WORDS]}" if printable.strip() else ""


def _is_error_document(body: bytes) -> bool:
    """Tell whether it is what registries write of errors (distribution specification, "Error Codes")."""
    try:
        document = parse_json(body)
    except NotJson:
        return False
    return isinstance(document, dict) and isinstance(document.get("errors"), list)


def _error_message(body: bytes) -> str:
    try:
        first = parse_json(body)["errors"][0]
        code, message = (_text(first.get(key)) for key in ("code", "message"))
    except (NotJson, KeyError, IndexError, TypeError, AttributeError):
        return ""
    return f"{code} {message}".strip()


def _text(value: object) -> str:
    """Return a text or number as it is; of anything else, which may be large, nothing."""
    return str(value) if isinstance(value, str | int | float) else ""
