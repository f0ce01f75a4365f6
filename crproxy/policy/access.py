"""What this proxy serves, and to whom, decided from names and addresses alone: before any name is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry, Repository
from .clients import Network, is_in

__all__ = ["Access", "Patterns", "parse_pattern", "patterns_about"]

# A name is looked up in as many steps as it has parts, however long the list is.
Patterns = frozenset[str]

_EVERYTHING = "*"


def parse_pattern(text: str) -> str:
    """Return ``text``, a pattern of images, in its one spelling.

    ``REGISTRY/REPOSITORY`` is one repository, ``REGISTRY/PATH/*`` all below that path, ``REGISTRY/*`` or ``REGISTRY``
    all of a registry, ``*`` everything. An official image of Docker Hub may leave ``library/`` out.

    Raises:
        ValueError: it is none; the text says what to write.
    """
    if text == _EVERYTHING:
        return text
    name, star, rest = text.partition("/*")
    registry_name, slash, path = name.partition("/")
    try:
        registry = Registry.parse(registry_name)
        if star or not path:
            below = f"{registry}/{Repository.parse(registry, path).path}" if path else str(registry)
            pattern = f"{below}/*"
        else:
            pattern = str(registry.repository(path))
    except RegistryError:
        pattern = ""
    if not pattern or rest or "*" in name or (slash and not path):
        raise ValueError(f"{text!r} is no pattern: write REGISTRY/REPOSITORY, REGISTRY/PATH/*, REGISTRY/* or *")
    return pattern


def patterns_about(repository: Repository) -> Iterator[str]:
    """Give the patterns that are about ``repository``, the most specific first."""
    name = str(repository)
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield f"{name}/*"
    yield _EVERYTHING


@dataclass(frozen=True, slots=True)
class Access:
    """What may be asked for.

    Arguments:
        registries: those served; None is any public one, and those that the configuration has a table for.
        message: what the client is told besides, such as whom to ask.
        named: those that the list has by name, whether or not it admits all.
        allow: images that are served, where there are any: then no others are. The most specific pattern counts.
        deny: images that are not; of two patterns that are as specific, this one counts.
        privileged: networks whose clients are served everything.
        privileged_images: images that everybody is served.
        tags: lists of tags are served; otherwise they are empty.
        deny_digests_file: where digests are listed that are served to nobody; None is nowhere.
        denied_digests: those, as they were when the configuration was read.
    """

    registries: frozenset[Registry] | None = None
    message: str = ""
    named: frozenset[Registry] = frozenset()
    allow: Patterns = frozenset()
    deny: Patterns = frozenset()
    privileged: tuple[Network, ...] = ()
    privileged_images: Patterns = frozenset()
    tags: bool = True
    deny_digests_file: str | None = None
    denied_digests: frozenset[Digest] = frozenset()

    def check_registry(self, registry: Registry, client: str | None = None) -> None:
        """Raise DENIED where nothing of ``registry`` is served to ``client`` (an IP address, where it is known)."""
        if self.registries is None or registry in self.registries or is_in(client, self.privileged):
            return
        of_it = f"{registry}/"
        if not any(pattern == _EVERYTHING or pattern.startswith(of_it) for pattern in self.privileged_images):
            self._deny_registry(registry)

    def check(self, repository: Repository, client: str | None = None) -> None:
        """Raise DENIED unless ``repository`` is served to ``client`` (an IP address, where it is known)."""
        if self.is_privileged(repository, client):
            return
        if self.registries is not None and repository.registry not in self.registries:
            self._deny_registry(repository.registry)
        if not self._is_listed(repository):
            self._deny(
                f"this proxy does not serve {repository}: its list of images does not allow it",
                f"whoever runs it may add {repository} to that",
            )

    def is_privileged(self, repository: Repository, client: str | None = None) -> bool:
        """Tell whether no list, and no rule, is about ``repository`` as ``client`` asks for it."""
        if is_in(client, self.privileged):
            return True
        return bool(self.privileged_images) and not self.privileged_images.isdisjoint(patterns_about(repository))

    def is_open(self, repository: Repository) -> bool:
        """Tell whether ``repository`` is served to every client."""
        try:
            self.check(repository)
        except RegistryError:
            return False
        return True

    def _is_listed(self, repository: Repository) -> bool:
        for pattern in patterns_about(repository):
            if pattern in self.deny:
                return False
            if pattern in self.allow:
                return True
        return not self.allow

    def _deny_registry(self, registry: Registry) -> None:
        served = ", ".join(sorted(map(str, self.registries or ()))) or "none"
        self._deny(
            f"this proxy does not serve {registry}; the registries that it serves: {served}",
            f"whoever runs it may add {registry} to its list",
        )

    def _deny(self, what: str, advice: str) -> None:
        raise RegistryError(ErrorCode.DENIED, f"{what}; {self.message or advice}")
