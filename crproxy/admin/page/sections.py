"""The page as HTML: the whole of it, or the parts that change while somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ... import __version__
from ...policy.advice import advice_for
from ...policy.history import DAY, MONTH, Bucket, grouped
from ...store.inventory import StoredImage
from ...web.page.rendering import Words, render
from ...web.page.texts import Language
from ..printing import short_digest
from .actions import Done
from .gate import Operator
from .overview import Overview, Pull
from .plots import HEIGHT, WIDTH, Plot, bytes_plot, rate_plot
from .tags import Tags
from .texts import TEXTS

__all__ = ["PARTS", "SORTS", "Asked", "page_of", "parts_of", "result_of"]

# By the ids of the elements that they are in.
PARTS = ("now", "numbers", "upstreams", "errors", "certificates", "users")

# Rows of each table that can be long; and images on one page.
_ROWS, _IMAGES = 50, 50
_HOUR, _WEEK_DAY = 3600, 24 * 3600

SORTS: Mapping[str, Callable[[StoredImage], Any]] = {
    "used": lambda image: -(image.used or 0.0),
    "size": lambda image: -image.bytes,
    "name": lambda image: image.name,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be shown.

    Arguments:
        language: of the page.
        chosen: the language was chosen, not found in a header.
        pattern: of the images that are listed.
        sort: a key of `SORTS`; anything else is the first.
        number: of the page of images, from 1 on.
    """

    language: Language
    chosen: bool = False
    pattern: str = ""
    sort: str = ""
    number: int = 1

    def link(self, **other: object) -> str:
        """Return the query of the page with something else in it."""
        sort = self.sort if self.sort in SORTS else ""
        fields: dict[str, object] = {"lang": self.language.value if self.chosen else "", "q": self.pattern}
        fields |= {"sort": sort, "page": self.number if self.number > 1 else ""}
        fields |= other
        return "?" + urlencode({name: str(value) for name, value in fields.items() if value != ""})


@dataclass(frozen=True, slots=True)
class _Images:
    """One page of the images that were found, and how many there are in all."""

    rows: Sequence[StoredImage]
    found: int
    bytes: int
    first: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class _Period:
    """A day or a month: its plots, and the same in a table."""

    name: str
    bytes: Plot
    rate: Plot
    rows: Sequence[Bucket]


def page_of(
    asked: Asked,
    overview: Overview,
    images: Sequence[StoredImage],
    tags: Tags,
    operator: Operator,
    asset: Callable[[str], str],
) -> bytes:
    """Return the whole page.

    Arguments:
        images: that the pattern is for.
        tags: that moved, or are pinned.
        operator: whose page it is.
        asset: returns where a file beside it is.
    """
    return render(
        "operator.html",
        **_context(asked, overview),
        parts=PARTS,
        images=_images(asked, images),
        pull_of=lambda image: _pull_of(overview, image),
        sorts=list(SORTS),
        tags=tags,
        short=lambda digest: short_digest(str(digest)),
        operator=operator,
        other=Words(asked.language.other, TEXTS),
        other_link=asked.link(lang=asked.language.other.value),
        other_tag=asked.language.other.tag,
        asset=asset,
        version=__version__,
    )


def parts_of(asked: Asked, overview: Overview) -> dict[str, str]:
    """Return the parts that change, by the ids of the elements that they are in."""
    context = _context(asked, overview)
    return {name: render(f"operator_{name}.html", **context).decode() for name in PARTS}


def result_of(asked: Asked, name: str, done: Done, asset: Callable[[str], str]) -> bytes:
    """Return the page that says what has come of an action."""
    return render(
        "operator_result.html",
        t=Words(asked.language, TEXTS),
        language=asked.language,
        name=name,
        done=done,
        back="/admin" + Asked(asked.language, asked.chosen).link(),
        asset=asset,
    )


def _context(asked: Asked, overview: Overview) -> dict[str, object]:
    return {
        "t": Words(asked.language, TEXTS),
        "asked": asked,
        "overview": overview,
        "seen": overview.seen,
        "most": _ROWS,
        "advice_for": advice_for,
        "periods": list(_periods(overview)),
        "width": WIDTH,
        "height": HEIGHT,
        "ago": lambda moment: _ago(overview.now - moment),
    }


def _periods(overview: Overview) -> Iterator[_Period]:
    for name, period, each in (("day", DAY, _HOUR), ("month", MONTH, _WEEK_DAY)):
        buckets = overview.history.buckets(period, overview.now)
        yield _Period(name, bytes_plot(buckets), rate_plot(buckets), grouped(buckets, each)[::-1])


def _images(asked: Asked, images: Sequence[StoredImage]) -> _Images:
    key = SORTS.get(asked.sort, SORTS["used"])
    ordered = sorted(images, key=lambda image: (key(image), image.name))
    last = max(1, -(-len(ordered) // _IMAGES))
    number = min(max(1, asked.number), last)
    first = (number - 1) * _IMAGES
    return _Images(
        ordered[first : first + _IMAGES],
        len(ordered),
        sum(image.bytes for image in ordered),
        first,
        asked.link(page=number - 1) if number > 1 else None,
        asked.link(page=number + 1) if number < last else None,
    )


def _pull_of(overview: Overview, image: StoredImage) -> Pull | None:
    repository = str(image.repository)
    found = (overview.seen.pulls.get((repository, str(reference))) for reference in (image.reference, image.digest))
    pulls = [pull for pull in found if pull is not None]
    return max(pulls, key=lambda pull: pull.moment, default=None)


def _ago(seconds: float) -> tuple[int, str]:
    """Return how long ago something was, and the key of the unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return int(seconds // length), f"ago_{unit}"
    return max(0, int(seconds)), "ago_seconds"
