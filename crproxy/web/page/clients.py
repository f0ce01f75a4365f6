"""Clients' set-ups on the page: the files that ``crproxy setup`` prints, for those clients that most people have."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...oci.names import DOCKER_HUB
from ...policy.external_address import ExternalAddress
from ...policy.setups import SETUPS, ClientFile, Login, SetupError, Target

__all__ = ["Client", "Section", "sections_of"]

# What stands for a user's name in a file, and "PASSWORD" for the password.
_USER = "USER"


class Client(enum.StrEnum):
    """The clients that the page has a section for."""

    DOCKER = "docker"
    CONTAINERD = "containerd"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Section:
    """How one client is set up.

    Arguments:
        client: which.
        files: as they are to be; one without a path has no place of its own.
        added: what belongs into files that are there.
        merge: the command that puts it there; empty where people do that.
        commands: to be run then.
    """

    client: Client
    files: tuple[ClientFile, ...]
    added: tuple[ClientFile, ...] = ()
    merge: str = ""
    commands: tuple[str, ...] = ()


def sections_of(address: ExternalAddress, *, login: bool) -> tuple[Section, ...]:
    """Return a section for each client that there can be one for here.

    Arguments:
        login: this proxy serves nobody who does not log in.
    """
    if address.base is None:
        return ()
    target = Target.of_names(address.names, address.base, secure=address.secure)
    if login:
        target = replace(target, login=Login(_USER))
    return tuple(section for client in Client for section in _section(client, target))


def _section(client: Client, target: Target) -> Iterator[Section]:
    kubernetes = client is Client.KUBERNETES
    try:
        setup = SETUPS["k3s" if kubernetes else client](target)
    except SetupError:
        # Nothing there stands for Docker Hub.
        return
    if setup.files or setup.added:
        files = (*setup.files, _pod(target)) if kubernetes else setup.files
        commands = tuple(line for line in setup.then if line.startswith("systemctl "))
        yield Section(client, files, setup.added, setup.merge, commands)


def _pod(target: Target) -> ClientFile:
    """Return a pod that names the proxy, for clusters whose nodes stay as they are."""
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n"
        f"    - name: web\n      image: {target.prefix(DOCKER_HUB)}/nginx:1.27\n"
    )
    return ClientFile("", text)
