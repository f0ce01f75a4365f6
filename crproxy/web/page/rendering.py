"""Templates, and what they are filled with. Jinja2 escapes all that is not written in a template or in our texts."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from ...policy.units import format_share, format_size
from .texts import TEXTS, Language

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Words", "render"]


class Words:
    """The texts of one language.

    Arguments:
        language: which.
        texts: those of each; by default the public page's.
    """

    def __init__(self, language: Language, texts: Mapping[Language, Mapping[str, str]] = TEXTS) -> None:
        self._texts = texts[language]

    def __call__(self, key: str, **values: object) -> Markup:
        """Return a text as markup, with these values, escaped, in its braces."""
        # The texts are ours; Markup.format escapes what is put into them.
        return Markup(self._texts[key]).format(**values)  # noqa: S704

    def plain(self, key: str, **values: object) -> str:
        """Return a text that has no markup in it."""
        return self._texts[key].format(**values)


def render(template: str, **context: object) -> bytes:
    """Return the page that ``template`` makes of ``context``."""
    return _templates().get_template(template).render(context).encode()


def _breakable(text: str) -> Markup:
    """Return a name, or a fingerprint, that may be broken behind its slashes and colons on a line that is too short."""
    return escape(text).replace("/", Markup("/<wbr>")).replace(":", Markup(":<wbr>"))


def _date(seconds: float) -> str:
    """Return a day, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")


def _moment(seconds: float) -> str:
    """Return a moment, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


@functools.cache
def _templates() -> Environment:
    # A proxy that nobody looks at does without.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(breakable=_breakable, size=format_size, date=_date, moment=_moment, percent=format_share)
    return templates
