"""A whole file that was pasted, and what became of it: for the page, its script, and commands such as curl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from twisted.web.server import Request

from ...config import Config
from ...oci.errors import ErrorCode, RegistryError
from ...policy.pull_commands import PullMethod
from ..channel import BODY_LIMIT
from ..request import field_of, host_of
from .asking import Asking
from .rendering import Words

__all__ = ["PASTED_FORMS", "Pasted", "pasted_of", "plain_document"]

PASTED_FORMS = (PullMethod.PREFIX.value, PullMethod.ALIAS.value)
"""The forms of a name that can be chosen."""

_FORM_TYPE = "application/x-www-form-urlencoded"
_FIELDS = 8
# Each takes some microseconds of the reactor's.
_NAMES = 1000
# That people read; what is more is a number.
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Pasted:
    """A file.

    Arguments:
        text: as it was pasted.
        form: that was chosen.
        rewritten: with its names for this proxy.
        changes: how many.
        kept: names that stay as they are: the line, the name, and the key of the text that says why.
        unread_from: the line from which on it was not read as a whole; None where it was.
        mistake: the key of the text that says why there is nothing; empty where there is.
    """

    text: str
    form: str
    rewritten: str = ""
    changes: int = 0
    kept: tuple[tuple[int, str, str], ...] = ()
    unread_from: int | None = None
    mistake: str = ""


def pasted_of(request: Request, config: Config, asking: Asking) -> Pasted:
    """Return what became of the file that ``request`` has in its body.

    Raises:
        RegistryError: 403 where another site sent it, 413 where it is too long, 400 where it is no form.
    """
    _refuse_other_sites(request)
    body = b"" if request.content is None else request.content.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise RegistryError(ErrorCode.UNSUPPORTED, f"a file has {BODY_LIMIT} bytes at the most", status=413)
    fields = _fields(request.uri.partition(b"?")[2])
    # What curl --data-binary sends is called a form, too, but only a browser has filled one in.
    if (field_of(request, b"content-type") or "").startswith(_FORM_TYPE) and body.startswith(b"text="):
        fields |= _fields(body)
        body = fields.get("text", b"")
    form = fields.get("form", b"").decode("latin-1")
    return _rewritten(
        body,
        form if form in PASTED_FORMS else PASTED_FORMS[0],
        fields.get("name", b"").decode("utf-8", "replace"),
        config,
        asking,
    )


def _rewritten(data: bytes, form: str, name: str, config: Config, asking: Asking) -> Pasted:
    # What reads YAML takes time and memory, which a page that nobody pastes files into does without.
    from ...policy.rewriting import NotText, Renaming, TooMany, decode, rewrite

    try:
        text = decode(data)
    except NotText:
        return Pasted("", form, mistake="mistake_not_text")
    renaming = Renaming(asking.address, config.serves(asking.client), PullMethod(form))
    try:
        found = rewrite(text, renaming, name, _NAMES)
    except TooMany:
        return Pasted(text, form, mistake="status_too_long")
    kept = tuple((one.line, one.name[:_SHOWN], f"kept_{one.reason.name.lower()}") for one in found.kept[:_SHOWN])
    nothing = not found.changes and not kept
    return Pasted(
        text,
        form,
        found.text,
        len(found.changes),
        kept,
        found.unread_from,
        "mistake_no_images" if nothing and text.strip() else "",
    )


def plain_document(pasted: Pasted, words: Words) -> bytes:
    """Return what the page's script is told: JSON."""
    mistake = words.plain(pasted.mistake) if pasted.mistake else ""
    kept = (words.plain("status_kept", line=line, name=name, why=words.plain(why)) for line, name, why in pasted.kept)
    document = {
        "text": pasted.rewritten,
        "changes": pasted.changes,
        "kept": [*kept],
        "unread": "" if pasted.unread_from is None else words.plain("status_unread", line=pasted.unread_from),
        "mistake": mistake,
        "status": mistake or words.plain("status_changed", count=pasted.changes),
    }
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"


def _fields(text: bytes) -> dict[str, bytes]:
    try:
        found = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS, encoding="latin-1")
    except ValueError:
        raise RegistryError(ErrorCode.UNSUPPORTED, "this is no form of the page's", status=400) from None
    return {name: value.encode("latin-1", "replace") for name, value in found}


def _refuse_other_sites(request: Request) -> None:
    """Refuse what a page of another site had a browser send: it would put its own words before a reader of this one.

    Browsers say so (Fetch Metadata, 2.2; of older ones RFC 6454, 7.3); what is no browser says nothing.
    """
    site, origin = field_of(request, b"sec-fetch-site"), field_of(request, b"origin")
    is_ours = site in ("same-origin", "none") if site is not None else origin is None or _is_of(origin, request)
    if not is_ours:
        raise RegistryError(ErrorCode.DENIED, "another site sent this: paste it here yourself", status=403)


def _is_of(origin: str, request: Request) -> bool:
    try:
        return urlsplit(origin).netloc == host_of(request)
    except ValueError:
        return False
