"""What is served, and to whom, as the configuration says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..oci.digests import Digest
from ..policy.access import Access, Patterns, parse_pattern
from ..policy.denied_digests import parse_denied
from .table import Table

__all__ = ["read_access"]

ReadNamed = Callable[[Table, str], "str | None"]


def read_access(table: Table, clients: Table, read_named: ReadNamed) -> Access:
    """Return what is served. Raises ConfigError.

    Arguments:
        table: ``[access]``.
        clients: ``[clients]``, of which only what is about access is taken.
        read_named: returns the text of the file that a key names.
    """
    listed = table.strings("registries")
    if not listed and "registries" in table.values:
        table.fail("registries", 'this would serve nothing: name registries, or "*" for every public one')
    everything = not listed or "*" in listed
    registries = frozenset(table.registry("registries", name) for name in listed if name != "*")
    access = Access(
        None if everything else registries,
        table.string("message") or "",
        registries,
        allow=_both(table, "allow", read_named),
        deny=_both(table, "deny", read_named),
        privileged=clients.networks("privileged"),
        privileged_images=Patterns(_listed(clients, "privileged_images")),
        tags=table.boolean("tags", True),
        deny_digests_file=table.string("deny_digests_file"),
        denied_digests=_denied(table, read_named),
    )
    table.refuse_the_rest()
    return access


def _denied(table: Table, read_named: ReadNamed) -> frozenset[Digest]:
    try:
        return parse_denied(read_named(table, "deny_digests_file") or "")
    except ValueError as error:
        table.fail("deny_digests_file", str(error))


def _both(table: Table, key: str, read_named: ReadNamed) -> Patterns:
    """Return the patterns at ``key`` and in the file that ``key_file`` names, one in a line."""
    text = read_named(table, f"{key}_file")
    found = [*_listed(table, key)]
    if text is not None:
        lines = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
        found += _patterns(table, f"{key}_file", ((number, line) for number, line in lines if line))
        if key == "allow" and not found:
            table.fail("allow_file", "there is no pattern in it, so that it would allow everything")
    return Patterns(found)


def _listed(table: Table, key: str) -> Iterator[str]:
    return _patterns(table, key, enumerate(table.strings(key), 1))


def _patterns(table: Table, key: str, numbered: Iterable[tuple[int, str]]) -> Iterator[str]:
    for number, text in numbered:
        try:
            yield parse_pattern(text)
        except ValueError as error:
            table.fail(key, f"number {number}: {error}")
