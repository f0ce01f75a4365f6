"""Templates, and what they are filled with. Jinja2 escapes all that is not written in a template or in our texts."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from .texts import TEXTS, Language

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Words", "render"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


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


def _size(count: int) -> str:
    """Return a number of bytes for people: three digits of it."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    digits = 0 if unit == 0 or size >= 99.95 else 1
    return f"{size:.{digits}f} {_UNITS[unit]}"


def _date(seconds: float) -> str:
    """Return a day, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")


def _moment(seconds: float) -> str:
    """Return a moment, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _percent(part: float) -> str:
    """Return a part of one; all and nothing are said only where they are true."""
    rounded = round(part * 100)
    return f"{min(max(rounded, 1), 99) if 0 < part < 1 else rounded} %"


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
    templates.filters.update(breakable=_breakable, size=_size, date=_date, moment=_moment, percent=_percent)
    return templates
