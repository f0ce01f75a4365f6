"""What a client would rather have: a page or plain text, and in which language (RFC 9110, 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .texts import Language

__all__ = ["language_of", "wants_html"]

_WEIGHT = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)
# Nobody who means it lists more.
_MOST = 32


def wants_html(accept: str | None) -> bool:
    """Tell whether an Accept header names HTML, as a browser's does; ``*/*`` alone, as curl has it, is plain text."""
    weights = dict(_weighed(accept))
    html = max(weights.get("text/html", 0.0), weights.get("application/xhtml+xml", 0.0))
    return html > 0 and html >= weights.get("text/plain", 0.0)


def language_of(chosen: str | None, accept_language: str | None) -> Language:
    """Return the language of a page.

    Arguments:
        chosen: what the page's address says, if it says anything.
        accept_language: the header.
    """
    for language in Language:
        if chosen == language.value:
            return language
    best, best_weight = Language.ENGLISH, 0.0
    for tag, weight in _weighed(accept_language):
        primary = tag.partition("-")[0]
        for language in Language:
            if primary == language.value and weight > best_weight:
                best, best_weight = language, weight
    return best


def _weighed(header: str | None) -> Iterator[tuple[str, float]]:
    """Give the values of a header and their weights (RFC 9110, 12.4.2)."""
    for item in (header or "").split(",", _MOST)[:_MOST]:
        value, *parameters = item.split(";")
        found = next(filter(None, map(_WEIGHT.fullmatch, parameters)), None)
        yield value.strip().lower(), 1.0 if found is None else float(found[1])
