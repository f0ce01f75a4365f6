"""Which facts the object store was told lately: a tag is checked each minute, and seldom moves. Knows no store."""

from __future__ import annotations

from collections import OrderedDict

from ..policy.object_keys import LinkKey, TagKey, parse_key, parse_link, parse_tag

__all__ = ["Recently"]

# Seconds for which a time that is told again is no news: whoever reads it may think it older by so much.
_NO_NEWS = 300.0
_MOST = 20_000


class Recently:
    """Remembers what was told of links and tags, and when."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[object, float]] = OrderedDict()

    def is_news(self, key: str, content: bytes) -> bool:
        """Tell whether there is anything new in this, or what was told of it is too long ago."""
        what, when = _said(key, content)
        told, before = self._told.get(key, (None, 0.0))
        return what is None or what != told or not 0 <= when - before < _NO_NEWS

    def told(self, key: str, content: bytes | None) -> None:
        """The store was told this; None is that there is nothing any more, as after a refusal."""
        what, when = (None, 0.0) if content is None else _said(key, content)
        if what is None:
            self._told.pop(key, None)
            return
        self._told[key] = what, when
        self._told.move_to_end(key)
        if len(self._told) > _MOST:
            self._told.popitem(last=False)

    def forget(self) -> None:
        """Let all be news: after a refusal, what was confirmed anew counts by its time."""
        self._told.clear()


def _said(key: str, content: bytes) -> tuple[object, float]:
    """Return what a fact says but for its time, and that; None where it is no link or tag."""
    match parse_key(key):
        case LinkKey() if (link := parse_link(content)) is not None and link.confirmed > 0:
            return (link.media_type, link.size), link.confirmed
        case TagKey() if (tag := parse_tag(content)) is not None:
            return tag.digest, tag.checked
    return None, 0.0
