"""The configuration's file as a JSON Schema (draft 7), by which editors complete and check it.

It is made of the table of keys. What no schema can say, such as that two keys go together, reading the file tells.
"""

from __future__ import annotations

from typing import Any

from .key import EACH, ITEM, Key, Kind
from .keys import ENDPOINT_KEYS, FREE_TABLES, KEYS
from .loading import MOST_WORKERS

__all__ = ["schema"]

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_PATTERNS = {
    Kind.DURATION: rf"^\s*{_NUMBER}(ms|s|m|h|d)\s*$",
    Kind.DURATION_OR_OFF: rf"^\s*({_NUMBER}(ms|s|m|h|d)|0|off)\s*$",
    Kind.SIZE: rf"^\s*{_NUMBER}[KMGTkmgt]?(i?[bB])?\s*$",
    Kind.RATE: rf"^\s*(0|{_NUMBER}[KMGTkmgt]?(i?[bB])?/s)\s*$",
    Kind.FREQUENCY: r"^\s*(0|[0-9]{1,9}/[smh])\s*$",
}


def schema() -> dict[str, Any]:
    """Return the schema, as JSON has it."""
    top = _table("")
    for name in dict.fromkeys(key.path[0] for key in KEYS if key.table):
        top["properties"][name] = _tables_of(name)
    for name in FREE_TABLES:
        top["properties"][name] = {"type": "object", "additionalProperties": _TEXT}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "crproxy", **top}


def _tables_of(name: str) -> dict[str, Any]:
    """Return what stands at the top by this name: a table, one of tables, or a list of them."""
    tables = {key.table for key in KEYS}
    if f"{name}.{EACH}" in tables:
        return {"type": "object", "additionalProperties": _table(f"{name}.{EACH}")}
    if f"{name}.{ITEM}" in tables:
        return {"type": "array", "items": _table(f"{name}.{ITEM}")}
    return _table(name)


def _table(table: str) -> dict[str, Any]:
    properties = {key.name: _described(key) for key in KEYS if key.table == table}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _described(key: Key) -> dict[str, Any]:
    literal = key.literal_default
    default = {} if literal is None else {"default": literal}
    description = key.plain_meaning + ("" if literal is not None else f" (without it: {key.plain_default})")
    return {**_value(key), "description": description, **default}


def _value(key: Key) -> dict[str, Any]:
    if key.kind in _PATTERNS:
        return {"type": "string", "pattern": _PATTERNS[key.kind]}
    if key.kind is Kind.BOOLEAN:
        return {"type": "boolean"}
    if key.kind is Kind.WHOLE:
        most = {} if key.most is None else {"maximum": key.most}
        return {"type": "integer", "minimum": key.least, **most}
    if key.kind is Kind.CHOICE:
        return {"enum": list(key.choices)}
    if key.kind is Kind.WORKERS:
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_WORKERS}, {"const": "auto"}]}
    if key.kind in (Kind.TEXTS, Kind.NETWORKS, Kind.ENDPOINTS):
        return _TEXTS
    if key.kind is Kind.IDENTITIES:
        return {"type": "array", "items": _identity()}
    return _endpoint() if key.kind is Kind.UPSTREAM else _TEXT


def _identity() -> dict[str, Any]:
    properties = {"subject": _TEXT, "issuer": _TEXT}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _endpoint() -> dict[str, Any]:
    properties = {
        "url": _TEXT,
        "trust_tags": {"type": "boolean"},
        **{key.name: _described(key) for key in ENDPOINT_KEYS},
    }
    one = {"type": "object", "properties": properties, "required": ["url"], "additionalProperties": False}
    return {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, one]}}]}
