"""The rules, and the pins, that the configuration has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.images import ImageName
from ..oci.names import Registry, Repository, Tag
from ..policy.access import Patterns, parse_pattern
from ..policy.rules import Action, Rule, Rules
from ..signatures.trust import Identity, Trust
from .table import Table

__all__ = ["read_pins", "read_rules"]

# A name is a metric's label, and stands in errors.
_LONGEST_NAME = 60

# Returns the texts of the files that a key names.
ReadFiles = Callable[[Table, str], tuple[str, ...]]
# Returns the text of the file that a key names; None where it names none.
ReadNamed = Callable[[Table, str], "str | None"]


def read_rules(top: Table, read_files: ReadFiles, read_named: ReadNamed) -> Rules:
    """Return the rules, in their order. Raises ConfigError."""
    seen: set[str] = set()
    tables = enumerate(top.tables("rules"), 1)
    return Rules(tuple(_rule(table, number, seen, read_files, read_named) for number, table in tables))


def _rule(table: Table, number: int, seen: set[str], read_files: ReadFiles, read_named: ReadNamed) -> Rule:
    rule = Rule(
        name=_name(table, number, seen),
        images=Patterns(_patterns(table)),
        registries=frozenset(table.registry("registries", name) for name in table.strings("registries") if name != "*"),
        networks=table.networks("networks"),
        users=frozenset(table.strings("users")),
        action=_action(table),
        message=table.string("message") or "",
        minimum_age=table.duration("minimum_age", 0.0),
        digests=table.boolean("digests", False),
        trust_created=table.boolean("trust_created", False),
        pinned=table.boolean("pinned", False),
        trust=_trust(table, read_files, read_named),
        enforce=table.boolean("enforce", True),
    )
    _check(table, rule)
    table.refuse_the_rest()
    return rule


def _name(table: Table, number: int, seen: set[str]) -> str:
    name = table.string("name")
    if name is None:
        name = f"rule {number}"
    elif not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        table.fail("name", f"write a name of up to {_LONGEST_NAME} letters, by which errors and metrics call it")
    if name in seen:
        table.fail("name", f"another rule is called {name!r} already: metrics could not tell them apart")
    seen.add(name)
    return name


def _patterns(table: Table) -> Iterator[str]:
    for text in table.strings("images"):
        try:
            yield parse_pattern(text)
        except ValueError as error:
            table.fail("images", str(error))


def _action(table: Table) -> Action:
    said = table.string("action")
    try:
        return Action.ALLOW if said is None else Action(said)
    except ValueError:
        table.fail("action", f'{said!r} is none: write "allow" or "deny"')


def _trust(table: Table, read_files: ReadFiles, read_named: ReadNamed) -> Trust | None:
    required = table.string("require")
    if required not in (None, "cosign"):
        table.fail("require", f'{required!r} is nothing that can be asked for: write "cosign", or leave it out')
    keys = read_files(table, "keys")
    identities = tuple(map(_identity, table.tables("identities")))
    root = read_named(table, "trusted_root_file")
    if required is None:
        for key, is_there in (("keys", keys), ("identities", identities), ("trusted_root_file", root)):
            if is_there:
                table.fail(key, 'it is for signatures, which nothing asks for: write require = "cosign"')
        return None
    if not keys and not identities:
        table.fail("require", "nobody's signature would do: name files of public keys under keys, or identities")
    try:
        return Trust.parse(keys, identities, root)
    except ValueError as error:
        table.fail("keys" if not identities else "identities", str(error))


def _identity(table: Table) -> Identity:
    identity = Identity(table.string("subject") or "", table.string("issuer") or "")
    table.refuse_the_rest()
    return identity


def _check(table: Table, rule: Rule) -> None:
    """Fail where keys contradict each other."""
    conditions = {
        "minimum_age": rule.minimum_age > 0,
        "pinned": rule.pinned,
        "require": rule.trust is not None,
    }
    if rule.action is Action.DENY:
        for key, is_there in conditions.items():
            if is_there:
                table.fail(key, 'nothing that it is about is served, by action = "deny": leave one of the two out')
    for key in ("digests", "trust_created"):
        if getattr(rule, key) and not rule.minimum_age:
            table.fail(key, "it says something of a minimum_age, and there is none")


def read_pins(table: Table, default_registry: Registry | None) -> Mapping[tuple[Repository, Tag], Digest]:
    """Return by which digest each of these tags is answered. Raises ConfigError."""
    pins = {}
    for name in list(table.values):
        tag = _tag(name, default_registry)
        if tag is None:
            table.fail(name, 'this is no tag: write "docker.io/library/nginx:1.27" = "sha256:..."')
        if tag in pins:
            table.fail(name, "it is pinned already, under another of its names")
        try:
            pins[tag] = Digest.parse(table.string(name) or "")
        except RegistryError:
            table.fail(name, "this is no digest: write sha256: and 64 hexadecimal digits")
    return pins


def _tag(name: str, default_registry: Registry | None) -> tuple[Repository, Tag] | None:
    image = ImageName.split(name)
    try:
        registry = default_registry if image.domain is None else Registry.parse(image.domain)
        if registry is None or image.digest is not None:
            return None
        return registry.repository(image.path), Tag.parse(image.tag or "latest")
    except RegistryError:
        return None
