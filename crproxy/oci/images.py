"""Images by their names, as people write them: read, and written, by the grammar that Docker gave the world.

Grammar: distribution/reference, "reference := name [ ":" tag ] [ "@" digest ]", "name := [domain '/'] remote-name".
Which registry is meant by a name without one, and by a name of this proxy's own, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

from .digests import Digest
from .names import DOCKER_HUB, Reference, Repository, Tag, looks_like_registry

__all__ = ["Image", "ImageName"]


@dataclass(frozen=True, slots=True)
class ImageName:
    """The parts of an image's name as they are written; whether each is right is seen when it is read.

    Arguments:
        domain: the registry, or a host that stands for one; None where the name does not begin with one.
        path: of the repository.
        tag, digest: None where there is none; a name may have both.
    """

    domain: str | None
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def split(cls, text: str) -> ImageName:
        """Return the parts of ``text``, whatever it is."""
        name, at, digest = text.partition("@")
        # A colon before the last slash is a port's.
        before, colon, tag = name.rpartition(":")
        tagged = bool(colon) and "/" not in tag
        path = before if tagged else name
        domain, slash, rest = path.partition("/")
        if not slash or not looks_like_registry(domain):
            return cls(None, path, tag if tagged else None, digest if at else None)
        return cls(domain, rest, tag if tagged else None, digest if at else None)

    @property
    def name(self) -> str:
        """The repository's name, with the domain that it begins with."""
        return self.path if self.domain is None else f"{self.domain}/{self.path}"

    def reference(self) -> Reference | None:
        """Return the tag or the digest; of both, the digest, which says which it is.

        Raises:
            RegistryError: TAG_INVALID or DIGEST_INVALID. A tag beside a digest has to be one, too.
        """
        tag = None if self.tag is None else Tag.parse(self.tag)
        return tag if self.digest is None else Digest.parse(self.digest)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: a repository, and the tag or digest in it, where that was said."""

    repository: Repository
    reference: Reference | None = None

    @property
    def wanted(self) -> Reference:
        """The tag or digest that is pulled: ``latest`` where nothing is said."""
        return self.reference or Tag("latest")

    @property
    def full_name(self) -> str:
        """The name with everything in it."""
        return self.repository.named(self.wanted)

    @property
    def suffix(self) -> str:
        """What stands behind the repository's name."""
        if self.reference is None:
            return ""
        return f"{'@' if isinstance(self.reference, Digest) else ':'}{self.reference}"

    @property
    def short_path(self) -> str:
        """The path by which it is asked for where its registry is known: without ``library/``, and with its suffix."""
        return _short_path(self.repository) + self.suffix

    def __str__(self) -> str:
        """Return the name as Docker's users write it: ``nginx`` for ``docker.io/library/nginx``."""
        short = _short_path(self.repository)
        is_clear = self.repository.registry == DOCKER_HUB and not looks_like_registry(short.partition("/")[0])
        return (short if is_clear else str(self.repository)) + self.suffix


def _short_path(repository: Repository) -> str:
    short = repository.path.removeprefix("library/")
    return repository.path if repository.registry != DOCKER_HUB or "/" in short else short
