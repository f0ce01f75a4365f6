"""JSON that strangers wrote, read in a time that is bounded before it is begun. Pure; knows no schema.

A parser in C lets nothing else run before it is done, in a thread neither: it holds the interpreter's lock.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["VALUES_LIMIT", "DuplicateKey", "NotJson", "NumberTooLarge", "TooManyValues", "parse_json"]

# What costs time is the number of values, not of bytes: 4 MiB of brackets took 2 s, of one text 4 ms. A value costs up
# to 1 us, a list inside of a list or a new key of an object. An index of 1,000 images with platforms and some
# annotations has 20,000.
VALUES_LIMIT = 32_768
_MARKS = (b",", b"[", b"{")
# int() takes a time that grows with the square of a number's digits, and fails beyond 4,300 of them. 64 bits have 20.
_DIGITS_LIMIT = 20


class NotJson(ValueError):
    """It is no JSON, or more of it than is read; the text says which."""


class TooManyValues(NotJson):
    """There are more values in it than are read."""


class NumberTooLarge(NotJson):
    """There is a number in it that no field of ours can hold."""


class DuplicateKey(NotJson):
    """An object in it has a key twice: readers differ in which of the values counts (RFC 8259, 4)."""


def parse_json(content: bytes, *, unique: bool = False) -> Any:
    """Return what ``content`` says.

    NaN and its like, which are not in RFC 8259, are not read.

    Arguments:
        unique: a key that is twice in an object is refused; else the last one counts.

    Raises:
        DuplicateKey: there is one.
        NumberTooLarge: there is a number in it that no field of ours can hold.
        TooManyValues: it may have more than VALUES_LIMIT values: as many as commas and opening brackets, those in texts
            among them.
        NotJson: it is none.
    """
    if len(content) > VALUES_LIMIT and sum(map(content.count, _MARKS)) > VALUES_LIMIT:
        raise TooManyValues(f"it has more than {VALUES_LIMIT} values")
    try:
        return json.loads(
            content,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse,
            object_pairs_hook=_unique if unique else None,
        )
    except (NumberTooLarge, DuplicateKey):
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson("it is no JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKey("a key is twice in an object of it")
    return found


def _integer(text: str) -> int:
    if len(text) > _DIGITS_LIMIT:
        _refuse_number(text)
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        _refuse_number(text)
    return number


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON's")


def _refuse_number(text: str) -> None:
    raise NumberTooLarge(f"{text[:_DIGITS_LIMIT]} is a number that cannot be held")
