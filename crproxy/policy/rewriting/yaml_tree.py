"""YAML as a tree of what was written where: with positions, and without values of any type.

PyYAML's events are put together here, not its nodes: an alias is never expanded, and what is nested too deeply is
refused before anything calls itself that often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

__all__ = ["Mapping", "Node", "Scalar", "Sequence", "Unreadable", "documents"]

# libyaml's where the package has it: it reads 4 MB a second, and Python's own 150 kB.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100


class Unreadable(ValueError):
    """This is no YAML; ``line`` is where, from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


@dataclass(slots=True)
class Scalar:
    """A text.

    Arguments:
        value: what it says.
        start, end: of its characters, with its anchor, its tag and its quotes.
        style: the character that begins it: a quote, ``|`` or ``>``; None where it is plain.
    """

    value: str
    start: int
    end: int
    style: str | None = None


@dataclass(slots=True)
class Sequence:
    """Nodes in a row; an alias of a scalar is that scalar, of anything else it is left out."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys and values, as they are written; keys that are no scalars are left out.

    Arguments:
        pairs: of keys and values, in their order.
        is_flow: it stands in braces.
    """

    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)
    is_flow: bool = False
    _values: dict[str, Node] = field(default_factory=dict)

    def add(self, key: Scalar, value: Node) -> None:
        """Add what stands behind the others; of a key that is there twice the first counts."""
        self.pairs.append((key, value))
        self._values.setdefault(key.value, value)

    def get(self, key: str) -> Node | None:
        """Return the value of ``key``, or None."""
        return self._values.get(key)

    def scalar(self, key: str) -> Scalar | None:
        """Return the value of ``key`` where it is a scalar that says something."""
        value = self.get(key)
        return value if isinstance(value, Scalar) and value.value and not _is_null(value) else None

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None


Node = Scalar | Sequence | Mapping


def documents(text: str) -> Iterator[Node]:
    """Give the root of each document in ``text``.

    Raises:
        Unreadable: it is no YAML, from there on.
    """
    try:
        yield from _documents(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(1 if mark is None else mark.line + 1) from None
    except yaml.YAMLError:
        # A character that YAML has no place for.
        raise Unreadable(1) from None


@dataclass(slots=True)
class _Open:
    """A collection that is not whole yet."""

    node: Sequence | Mapping
    key: Node | None = None
    has_key: bool = False

    def add(self, node: Node | None) -> None:
        """Add the next node to it; None is one that is left out."""
        if isinstance(self.node, Sequence):
            if node is not None:
                self.node.items.append(node)
        elif not self.has_key:
            self.key, self.has_key = node, True
        else:
            if isinstance(self.key, Scalar) and node is not None:
                self.node.add(self.key, node)
            self.key, self.has_key = None, False


def _documents(text: str) -> Iterator[Node]:
    anchors: dict[str, Scalar] = {}
    stack: list[_Open] = []
    for event in yaml.parse(text, Loader=_LOADER):
        node: Node | None = None
        match event:
            case yaml.DocumentStartEvent():
                anchors = {}
                continue
            case yaml.ScalarEvent():
                node = Scalar(event.value, event.start_mark.index, event.end_mark.index, event.style or None)
                if event.anchor is not None:
                    anchors[event.anchor] = node
            case yaml.AliasEvent():
                node = anchors.get(event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(stack) == _DEEPEST:
                    raise Unreadable(event.start_mark.line + 1)
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                stack.append(_Open(Mapping(is_flow=bool(event.flow_style)) if is_mapping else Sequence()))
                continue
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node = stack.pop().node
            case _:
                continue
        if stack:
            stack[-1].add(node)
        elif node is not None:
            yield node


def _is_null(node: Scalar) -> bool:
    return node.style is None and node.value in ("~", "null", "Null", "NULL")
