"""Which registry and repository a request means: by prefix, alias, mirror or namespace.

A pure function of the Host header, the name in the path, ``ns=`` and the configured names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import DOCKER_HUB, Registry, Repository, looks_like_registry

__all__ = ["Names", "Route", "place", "route"]


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


@dataclass(frozen=True, slots=True)
class Route:
    """What a request means.

    Arguments:
        repository: the repository asked for.
        namespace: what the answer's ``OCI-Namespace`` says (distribution specification, "Registry Proxying"); None
            where the client did not ask by ``ns=``.
    """

    repository: Repository
    namespace: str | None = None


def place(names: Names, host: str) -> Registry | None:
    """Return the registry that ``host`` is an alias of, or None where it is the base domain.

    Raises:
        RegistryError: 421 Misdirected Request (RFC 9110, 15.5.20) where the host is neither.
    """
    name = _host_name(host)
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
        return Route(alias.repository(name))
    return Route(_by_prefix(names, name))


def _by_namespace(registry: Registry, alias: Registry | None, name: str, ns: str) -> Route:
    if alias is not None and alias != registry:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"this host is the alias of {alias}, but ns={registry} was asked for: use one of them",
        )
    # containerd with override_path repeats the registry in the path.
    first, _, rest = name.partition("/")
    if rest and looks_like_registry(first) and Registry.parse(first) == registry:
        name = rest
    return Route(registry.repository(name), ns)


def _by_prefix(names: Names, name: str) -> Repository:
    first, _, rest = name.partition("/")
    if looks_like_registry(first):
        if not rest:
            raise RegistryError(
                ErrorCode.NAME_INVALID,
                f"{name!r} names a registry but no repository in it: ask for {name}/REPOSITORY",
            )
        return Registry.parse(first).repository(rest)
    if names.default_registry is None:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{name!r} does not say which registry: put it in front, such as docker.io/{name}",
        )
    return names.default_registry.repository(name)


def _host_name(host: str) -> str:
    """Return the Host header's name: lower case, no port, no trailing dot."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower().removesuffix(".")


def _misdirected(names: Names, name: str) -> str:
    if names.domain is not None and name.endswith(f".{names.domain}"):
        label = name.removesuffix(f".{names.domain}")
        example = f"{names.domain}/quay.io/ORG/NAME"
        return f"{label!r} is no alias of this proxy: ask by prefix instead, such as {example}"
    return f"this proxy does not answer for {name!r}"
