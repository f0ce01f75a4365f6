"""A machine whose programs have crproxy as their HTTP proxy, set up as `crproxy setup CLIENT --proxy` says.

There is no other way out of it: only loopback leads anywhere, and no name is looked up. The registries of the world are
real ones there, each in the place of one, and so is crproxy.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from .daemon import Daemon, Upstream, configuration
from .machine import Machine
from .node import Node
from .operator import Operator
from .registry import DockerRegistry
from .skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .certificates import Authority
    from .images import Image, Index
    from .layouts import Layout

__all__ = ["WORLD", "Installed", "Station"]

WORLD = ("docker.io", "ghcr.io", "registry.k8s.io")
"""The registries that are played there."""

DOMAIN = "cr.test"
_SYSTEMCTL = '#!/bin/sh\necho "$@" >> /etc/systemctl.log\n'
_ENVIRONMENT = re.compile(r'Environment="(\w+)=([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Place(Node):
    """That machine, as programs run there.

    Arguments:
        entering: the words before a command.
        variables: that they are given.
        trusting: they care for TLS, and find whom they trust where everybody does.
    """

    entering: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    trusting: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs there."""
        return dict(self.variables)

    @property
    def tls_verify(self) -> str:
        """What podman's, buildah's and skopeo's options of this name are to be."""
        return "true" if self.trusting else "false"

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` there."""
        return [*self.entering, *command]


@dataclass(frozen=True, slots=True)
class Installed:
    """What was printed for a client, which is in its place now.

    Arguments:
        printed: as a document.
    """

    machine: Machine
    printed: dict[str, Any]

    def text(self, ending: str) -> str:
        """Return what is in the file whose path ends so."""
        (found,) = (file["text"] for file in self.printed["files"] if file["path"].endswith(ending))
        assert isinstance(found, str)
        return found

    @property
    def commands(self) -> list[str]:
        """What is to be done."""
        return [line for line in self.printed["then"] if not line.startswith("#")]

    @property
    def back(self) -> str:
        """The command that undoes it."""
        (found,) = (line for line in self.printed["then"] if line.startswith("# to go back: "))
        return str(found).removeprefix("# to go back: ")

    @property
    def service_variables(self) -> dict[str, str]:
        """What systemd gives a service by its drop-in (systemd.exec(5), Environment; "%%" is one "%")."""
        found = _ENVIRONMENT.findall(self.text(".service.d/crproxy.conf"))
        return {name: value.replace("%%", "%") for name, value in found}


class Station:
    """One that runs until the ``with`` block ends.

    Arguments:
        directory: for all that it writes.
        proxy: lines of the configuration's table [proxy] that say where it listens.
        more: what else is in the configuration.
        authority: of the certificate that the daemon shows, which clients trust as they trust everybody's.
    """

    def __init__(
        self,
        directory: Path,
        proxy: str = 'listen = ["tcp:0:interface=127.0.0.1"]',
        more: str = "",
        authority: Authority | None = None,
    ) -> None:
        self.directory = directory
        self._running = ExitStack()
        (directory / "machine").mkdir()
        try:
            self.machine = self._running.enter_context(Machine(directory / "machine", [DOMAIN]))
            self._furnish()
            self.registries = {name: self._registry(name) for name in WORLD}
            self.daemon = self._daemon(proxy, more, authority)
        except BaseException:
            self._running.close()
            raise
        secure = "listen_tls" in proxy
        said = self.daemon.wait_for_log(r"clients may have (https?)://127\.0\.0\.1:(\d+) as their HTTPS_PROXY")
        assert said[1] == ("https" if secure else "http")
        self.url = f"https://{DOMAIN}:{said[2]}" if secure else f"http://127.0.0.1:{said[2]}"
        self.operator = Operator.of(self.daemon, directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def place(self, **variables: str) -> Place:
        """Return it as what programs run on that are given these variables."""
        return Place(
            etc=self.machine.home / "upper" / "etc", entering=(*self.machine.entering, "--net"), variables=variables
        )

    def put(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file there."""
        source = self.directory / "put"
        source.write_text(text)
        self.machine.type(f"install -D -m {mode} {source} {path}", self.directory)

    def push(self, layout: Layout, image: Image | Index, registry: str, name: str) -> str:
        """Push an image to a registry; return its whole name, as everybody knows it."""
        repository = f"{'library' if registry == 'docker.io' else 'team'}/{name}"
        skopeo = Skopeo(self.directory, replace(self.place(), trusting=False))
        skopeo.push(layout.source(image), self.registries[registry].authority, f"{repository}:v1")
        return f"{registry}/{repository}:v1"

    def printed(self, client: str, *options: str, stdin: str = "") -> dict[str, Any]:
        """Return what `crproxy setup` prints for a client."""
        said = self.operator.runs("setup", client, "--proxy", "--host", self.url, "--json", *options, stdin=stdin)
        assert said.status == 0, said.err
        document: dict[str, Any] = said.json()
        return document

    def sourcing(self, installed: Installed) -> tuple[str, ...]:
        """Return the words before a command that runs there in a shell which has read Helm's file."""
        path = self.directory / "crproxy-proxy.sh"
        path.write_text(installed.text("crproxy-proxy.sh"))
        return (*self.place().entering, "sh", "-c", f'. {path} && exec "$@"', "sh")

    def install(self, client: str, *options: str, stdin: str = "") -> Installed:
        """Put a client's files in their places, and have the CAs count that are among them."""
        printed = self.printed(client, *options, stdin=stdin)
        for file in printed["files"]:
            self.put(file["path"] if file["path"].startswith("/") else f"/etc/{file['path']}", file["text"])
        made = Installed(self.machine, printed)
        for line in made.commands:
            if line.startswith("chmod 600 /") or line.split()[0] in ("update-ca-certificates", "systemctl"):
                self.machine.type(line, self.directory)
        return made

    @contextmanager
    def upstream_off(self) -> Iterator[None]:
        """Have no registry answer within the block."""
        for registry in self.registries.values():
            registry.stop()
        try:
            yield
        finally:
            for registry in self.registries.values():
                registry.start()

    def assert_fetched_once(self, registry: str, image: Image) -> None:
        """Fail unless a registry has given each blob of an image, and none twice. It says so afterwards."""
        for blob in image.blobs:
            said = f'"GET [^ "]+/blobs/{blob.digest} '
            self.registries[registry].wait_for_log(said)
            assert len(re.findall(said, self.registries[registry].log)) == 1

    def _furnish(self) -> None:
        self.put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.put("/usr/local/bin/systemctl", _SYSTEMCTL, "755")

    def _registry(self, name: str) -> DockerRegistry:
        directory = self.directory / name
        directory.mkdir()
        return self._running.enter_context(DockerRegistry(directory, node=self.place()))

    def _daemon(self, proxy: str, more: str, authority: Authority | None) -> Daemon:
        directory = self.directory / "daemon"
        directory.mkdir()
        upstreams = {name: Upstream(registry.url) for name, registry in self.registries.items()}
        domain = "" if authority is None else f'domain = "{DOMAIN}"\n'
        config = f"{domain}{configuration(upstreams)}\n{more}\n[proxy]\n{proxy}\n"
        certificate = None
        if authority is not None:
            certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
            self.put("/usr/local/share/ca-certificates/world.crt", authority.file.read_text())
        node = self.place()
        return self._running.enter_context(Daemon(directory, config, certificate=certificate, node=node))
