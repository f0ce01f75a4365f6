"""Every key of the configuration's file, in one table. The documentation, the schema and ``config show`` are of it.

Whoever adds a key that is read adds it here, or tests/config/test_keys.py fails.
"""

from __future__ import annotations

from .key import EACH, Key
from .keys_of_clients import CLIENT_KEYS
from .keys_of_operation import OPERATION_KEYS
from .keys_of_rules import RULE_KEYS
from .keys_of_upstreams import UPSTREAM_KEYS

__all__ = ["ENDPOINT_KEYS", "FREE_TABLES", "KEYS", "key_at", "names_in", "tables"]

KEYS: tuple[Key, ...] = (*CLIENT_KEYS, *UPSTREAM_KEYS, *RULE_KEYS, *OPERATION_KEYS)

# Tables whose keys are names of the operator's own, and their values texts.
FREE_TABLES = ("aliases", "pins")

_OF_ENDPOINTS = ("username", "password", "password_file", "ca_file", "proxy", "private_hosts", "token_hosts")
# Of one endpoint of several that has a table of its own, besides ``url`` and ``trust_tags``.
ENDPOINT_KEYS = tuple(key for key in UPSTREAM_KEYS if key.table == f"upstreams.{EACH}" and key.name in _OF_ENDPOINTS)

_BY_PATH = {key.path: key for key in KEYS}


def key_at(path: tuple[str, ...]) -> Key | None:
    """Return the key at ``path`` of a document; None where there is none."""
    return _BY_PATH.get(path) or _BY_PATH.get((path[0], EACH, *path[2:]) if len(path) > 2 else path)


def tables() -> tuple[str, ...]:
    """Return the names of all tables that have keys, the top's, which is empty, first."""
    return tuple(dict.fromkeys(key.table for key in KEYS))


def names_in(table: str) -> list[str]:
    """Return what may stand in ``table``: keys, and at the top the tables."""
    found = [key.name for key in KEYS if key.table == table]
    if table:
        return found
    return [*found, *dict.fromkeys(name.partition(".")[0] for name in tables() if name), *FREE_TABLES]
