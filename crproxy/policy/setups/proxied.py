"""Clients that have this proxy as their HTTP proxy: every image keeps its name.

What they need is an environment variable, and the proxy's CA among those that they trust.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from .target import ClientFile, Login, Setup, quoted

__all__ = ["PROXIED", "HttpProxy", "System"]

_NAME = "crproxy"


@dataclass(frozen=True, slots=True)
class System:
    """Where an operating system has the CAs that it trusts.

    Arguments:
        file: for one more.
        update: the command that has it count.
    """

    name: str
    file: str
    update: str


SYSTEMS = (
    System("Debian, Ubuntu", f"/usr/local/share/ca-certificates/{_NAME}.crt", "update-ca-certificates"),
    System("RHEL, Fedora", f"/etc/pki/ca-trust/source/anchors/{_NAME}.pem", "update-ca-trust"),
    System("Alpine", f"/usr/local/share/ca-certificates/{_NAME}.crt", "update-ca-certificates"),
)


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """The proxy, as its clients see it.

    Arguments:
        host: with its port.
        secure: it is asked by TLS.
        authorities: what they are to trust, in PEM.
        fingerprints: of these.
        login: as whom, where it asks for that.
        direct: hosts and networks that clients ask directly.
    """

    host: str
    secure: bool
    authorities: str
    fingerprints: tuple[str, ...]
    login: Login | None = None
    direct: tuple[str, ...] = ("localhost", "127.0.0.1", "::1", ".local", ".internal", ".cluster.local", ".svc")

    @property
    def url(self) -> str:
        """What clients are told."""
        login = self.login
        who = "" if login is None else f"{quote(login.user, safe='')}:{quote(login.written_password, safe='')}@"
        return f"{'https' if self.secure else 'http'}://{who}{self.host}"


def _service(client: str, unit: str) -> Callable[[HttpProxy], Setup]:
    def make(proxy: HttpProxy) -> Setup:
        # systemd reads "%" as the beginning of a specifier (systemd.unit(5), "Specifiers").
        url = proxy.url.replace("%", "%%")
        drop_in = f'[Service]\nEnvironment="HTTPS_PROXY={url}"\nEnvironment="NO_PROXY={",".join(proxy.direct)}"\n'
        path = f"/etc/systemd/system/{unit}.service.d/{_NAME}.conf"
        back = f"# to go back: rm {path} {_files_of_systems()}, update the trust as above, and restart {unit}"
        return Setup(
            f"{client} asks this proxy for every registry that it answers for; images keep their names.",
            (ClientFile(path, drop_in), _trusted(proxy)),
            (*_trust(proxy), "systemctl daemon-reload", f"systemctl restart {unit}", back),
        )

    return make


def _command_line(client: str, example: str) -> Callable[[HttpProxy], Setup]:
    def make(proxy: HttpProxy) -> Setup:
        lines = f"export HTTPS_PROXY={_shell(proxy.url)}\nexport NO_PROXY={','.join(proxy.direct)}\n"
        return Setup(
            f"{client} asks this proxy for every registry that it answers for, wherever these variables are set.",
            (ClientFile(f"/etc/profile.d/{_NAME}.sh", lines), _trusted(proxy)),
            (
                *_trust(proxy),
                example,
                f"# to go back: rm /etc/profile.d/{_NAME}.sh {_files_of_systems()}, and update the trust as above",
            ),
        )

    return make


def _buildkit(proxy: HttpProxy) -> Setup:
    create = (
        f"docker buildx create --name {_NAME} --use --driver-opt "
        f'env.HTTPS_PROXY={_shell(proxy.url)},\\"env.NO_PROXY={",".join(proxy.direct)}\\"'
    )
    return Setup(
        "A builder of buildx pulls what FROM names through this proxy. The proxy is the builder's alone: steps of a "
        "build do not see it.",
        (_trusted(proxy),),
        (*_trust(proxy), create, f"# to go back: docker buildx rm {_NAME}"),
    )


def _kubernetes(proxy: HttpProxy) -> Setup:
    found = _service("containerd, on each node,", "containerd")(proxy)
    indented = "".join(f"  {line}\n" for line in proxy.authorities.splitlines())
    talos = (
        f"apiVersion: v1alpha1\nkind: TrustedRootsConfig\nname: {_NAME}\ncertificates: |-\n{indented}---\n"
        f"machine:\n  env:\n    https_proxy: {quoted(proxy.url)}\n    no_proxy: {quoted(','.join(proxy.direct))}\n"
    )
    return Setup(
        found.about + " On Talos there is a patch for the machine's configuration instead.",
        (*found.files, ClientFile("talos-patch.yaml", talos)),
        (*found.then, "# on Talos: talosctl patch machineconfig --patch @talos-patch.yaml"),
    )


def _trusted(proxy: HttpProxy) -> ClientFile:
    return ClientFile(SYSTEMS[0].file, proxy.authorities)


def _trust(proxy: HttpProxy) -> tuple[str, ...]:
    shown = (f"# the CA's SHA-256 is {fingerprint}" for fingerprint in proxy.fingerprints)
    others = {f"# {one.name}: the CA goes to {one.file}, then {one.update}" for one in SYSTEMS[1:]}
    return (*shown, SYSTEMS[0].update, *sorted(others))


def _files_of_systems() -> str:
    return SYSTEMS[0].file


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


PROXIED: Mapping[str, Callable[[HttpProxy], Setup]] = {
    "docker": _service("Docker", "docker"),
    "containerd": _service("containerd", "containerd"),
    "podman": _command_line("Podman", "podman pull ghcr.io/ORG/NAME"),
    "buildkit": _buildkit,
    "kubernetes": _kubernetes,
    "helm": _command_line("Helm", "helm pull oci://ghcr.io/ORG/CHART"),
}
"""By the name of the client."""
