"""What a client's set-up is made from, and what it is made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...oci.names import DOCKER_HUB, Registry
from ..addresses import is_address
from ..aliases import BUILT_IN
from ..routing import Names, host_name

__all__ = ["ClientFile", "Login", "Setup", "SetupError", "Target", "quoted"]


class SetupError(Exception):
    """This client cannot be set up so; the text says what to do instead."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the proxy.

    Arguments:
        password: None leaves it to whoever puts the file in its place.
    """

    user: str
    password: str | None = field(default=None, repr=False)

    @property
    def written_password(self) -> str:
        """What stands in a file."""
        return "PASSWORD" if self.password is None else self.password

    @property
    def basic(self) -> str:
        """The value of Authorization (RFC 7617)."""
        if self.password is None:
            return "Basic BASE64"
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Target:
    """A proxy, as its clients see it.

    Arguments:
        host: as it is written in front of an image's name: with the port, where it is not the scheme's own.
        secure: it is asked by TLS.
        aliases: the host that stands for a registry, with its port.
        default_registry: what is meant at the host itself where no registry is named.
        registries: those that clients are to pull through it; none is every one.
        login: as whom, where it asks for that.
    """

    host: str
    secure: bool = True
    aliases: Mapping[Registry, str] = field(default_factory=dict)
    default_registry: Registry | None = DOCKER_HUB
    registries: tuple[Registry, ...] = ()
    login: Login | None = None

    @classmethod
    def of_names(cls, names: Names, host: str, *, secure: bool) -> Target:
        """Return the proxy that answers to ``names`` at ``host``."""
        port = _port_of(host)
        # Several may stand for one registry: the first by the alphabet will do.
        aliases = {names.aliases[name]: f"{name}{port}" for name in sorted(names.aliases, reverse=True)}
        return cls(host, secure, aliases, names.default_registry)

    @classmethod
    def at(cls, host: str, *, secure: bool) -> Target:
        """Return the proxy at ``host`` of which nothing else is known: what is built in is taken to be there."""
        name = host_name(host)
        has_labels = "." in name and not is_address(name)
        aliases = {registry: f"{label}.{host}" for label, registry in BUILT_IN.items()} if has_labels else {}
        return cls(host, secure, aliases)

    @property
    def url(self) -> str:
        """Its root."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    @property
    def listed(self) -> tuple[Registry, ...]:
        """The registries for a client that wants a list: those that were chosen, else all that are known by name."""
        return self.registries or tuple(sorted({*self.aliases, *BUILT_IN.values()}))

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is this machine: most clients speak plain HTTP to that by themselves."""
        return host_name(self.host) in ("localhost", "127.0.0.1", "[::1]")

    def prefix(self, registry: Registry) -> str:
        """Return what stands in front of a repository of ``registry``."""
        return f"{self.host}/{registry}"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file of a client's.

    Arguments:
        path: where it goes.
        text: what it holds, to its last line break.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Setup:
    """How a client is set up.

    Arguments:
        about: what comes of it, in a sentence or two.
        files: to be put in their places.
        then: what to do after that: commands, and comments that begin with ``#``.
        added: what belongs into files that are there already.
        merge: a shell's command that puts it there, and makes the file where there is none; empty where people do that.
    """

    about: str
    files: tuple[ClientFile, ...]
    then: tuple[str, ...]
    added: tuple[ClientFile, ...] = ()
    merge: str = ""


def quoted(text: str) -> str:
    """Return ``text`` as a string of JSON, TOML and YAML, which agree on those that are printable."""
    return json.dumps(text, ensure_ascii=False)


def _port_of(host: str) -> str:
    """Return ``:PORT``, or nothing."""
    return host[len(host_name(host)) :]
