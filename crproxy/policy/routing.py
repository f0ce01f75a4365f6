"""Which registry and repository a request means: by prefix, alias, mirror or namespace.

A pure function of the Host header, the name in the path, ``ns=`` and the configured names.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import DOCKER_HUB, Registry, Repository, looks_like_registry

__all__ = ["Names", "Route", "host_name", "place", "route"]


@dataclass(frozen=True, slots=True)
class Names:
    """The names this proxy answers to.

    Arguments:
        domain: the base domain; None is local mode, where every Host means the base.
        aliases: full host names, lower case, and the registry that each stands for.
        default_registry: for names that do not begin with a registry; None turns that off.
    """

    domain: str | None = None
    aliases: Mapping[str, Registry] = field(default_factory=dict)
    default_registry: Registry | None = DOCKER_HUB

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host name that is ours: the domain first, then the aliases."""
        return tuple(filter(None, [self.domain])) + tuple(sorted(self.aliases))

    def __contains__(self, name: str) -> bool:
        """Tell whether ``name``, as host_name() gives it, is written in the configuration."""
        return name == self.domain or name in self.aliases


@dataclass(frozen=True, slots=True)
class Route:
    """What a request means.

    Arguments:
        repository: the repository asked for.
        namespace: what the answer's ``OCI-Namespace`` says (distribution specification, "Registry Proxying"); None
            where the client did not ask by ``ns=``.
        hint: what was perhaps meant instead, for the message where the image is not there.
    """

    repository: Repository
    namespace: str | None = None
    hint: str | None = None


def place(names: Names, host: str) -> Registry | None:
    """Return the registry that ``host`` is an alias of, or None where it is the base domain.

    Raises:
        RegistryError: 421 Misdirected Request (RFC 9110, 15.5.20) where the host is neither.
    """
    name = host_name(host)
    alias = names.aliases.get(name)
    if alias is not None:
        return alias
    if names.domain is None or name == names.domain:
        return None
    raise RegistryError(ErrorCode.DENIED, _misdirected(names, name), status=421)


def route(names: Names, host: str, name: str, ns: str | None = None) -> Route:
    """Return what the repository ``name``, asked for at ``host``, means.

    Arguments:
        host: the Host header.
        name: the path between ``/v2/`` and the endpoint, not yet parsed.
        ns: the ``ns`` query parameter (distribution specification, "Registry Proxying").

    Raises:
        RegistryError: 400 for a name or namespace that does not parse or that contradict one another, 421 for a
            host that is not ours.
    """
    alias = place(names, host)
    if ns is not None:
        return _by_namespace(Registry.parse(ns), alias, name, ns)
    if alias is not None:
        return Route(alias.repository(name), hint=_alias_hint(names, alias, name))
    return _by_prefix(names, name)


def _by_namespace(registry: Registry, alias: Registry | None, name: str, ns: str) -> Route:
    if alias is not None and alias != registry:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"this host is the alias of {alias}, but ns={registry} was asked for: use one of them",
        )
    # containerd with override_path repeats the registry in the path.
    first, _, rest = name.partition("/")
    if rest and _meant_by(first) == registry:
        name = rest
    return Route(registry.repository(name), ns, _namespace_hint(registry, name))


def _by_prefix(names: Names, name: str) -> Route:
    first, _, rest = name.partition("/")
    if looks_like_registry(first):
        if not rest:
            raise RegistryError(
                ErrorCode.NAME_INVALID,
                f"{name!r} names a registry but no repository in it: ask for {name}/REPOSITORY",
            )
        return Route(Registry.parse(first).repository(rest))
    if names.default_registry is None:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{name!r} does not say which registry: put it in front, such as docker.io/{name}",
        )
    repository = names.default_registry.repository(name)
    return Route(
        repository,
        hint=f"no registry was named, so {repository} was meant; put another one in front, such as quay.io/{name}",
    )


def _meant_by(part: str) -> Registry | None:
    """Return the registry that a name's first part would be; None where it is the repository's: 1.2 is no registry."""
    if not looks_like_registry(part):
        return None
    try:
        return Registry.parse(part)
    except RegistryError:
        return None


def _alias_hint(names: Names, alias: Registry, name: str) -> str | None:
    first, _, rest = name.partition("/")
    if not rest or not looks_like_registry(first):
        return None
    if _meant_by(first) == alias:
        return f"this host stands for {alias} already: leave {first}/ out"
    return f"this host stands for {alias}: ask for {names.domain or 'the domain'}/{name} instead"


def _namespace_hint(registry: Registry, name: str) -> str | None:
    first, _, rest = name.partition("/")
    if not rest or not looks_like_registry(first):
        return None
    return f"ns={registry} was asked for, so {first}/ was taken for a part of the repository's name"


def host_name(host: str) -> str:
    """Return the Host header's name: lower case, no port, no trailing dot."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower().removesuffix(".")


def _labels(names: Names) -> list[str]:
    """Return the aliases below the domain."""
    below = f".{names.domain}"
    return sorted(host.removesuffix(below) for host in names.aliases if host.endswith(below))


def _misdirected(names: Names, name: str) -> str:
    if names.domain is not None and name.endswith(f".{names.domain}"):
        label = name.removesuffix(f".{names.domain}")
        labels = _labels(names)
        near = difflib.get_close_matches(label, labels, 1)
        known = f"did you mean {near[0]}.{names.domain}?" if near else f"there are {', '.join(labels) or 'none'}."
        return (
            f"{label!r} is no alias of this proxy; {known} "
            f"Every registry can be asked by prefix, such as {names.domain}/quay.io/ORG/NAME"
        )
    if names.domain is not None:
        return f"this proxy does not answer for {name!r}: ask for {names.domain}/REGISTRY/NAME"
    return f"this proxy does not answer for {name!r}"
