"""Clients that have this proxy as their HTTP proxy: every image keeps its name.

What they need is an environment variable, and the proxy's CA among those that they trust. The variable is for what
pulls alone: whatever else heeds it would ask the proxy too, which refuses what it does not answer for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from .http_proxy import DEBIAN, NAME, HttpProxy, anchors_of, trusting
from .target import ClientFile, Setup, quoted

__all__ = ["PROXIED"]

_OURS = DEBIAN.path("*")


def _service(client: str, unit: str, example: str) -> Callable[[HttpProxy], Setup]:
    def make(proxy: HttpProxy) -> Setup:
        # systemd reads "%" as the beginning of a specifier (systemd.unit(5), "Specifiers").
        lines = [f'Environment="{name}={value.replace("%", "%%")}"' for name, value in proxy.variables]
        file = ClientFile(f"/etc/systemd/system/{unit}.service.d/{NAME}.conf", "\n".join(["[Service]", *lines, ""]))
        restart = ("systemctl daemon-reload", f"systemctl restart {unit}")
        then = (
            *_password(proxy, file.path, f"systemctl show {unit}"),
            *trusting(proxy),
            *restart,
            example,
            f"# where OpenRC starts it: export both variables in /etc/conf.d/{unit}, and rc-service {unit} restart",
            _back(f"rm -f {file.path} {_OURS}", DEBIAN.tidy, *restart),
        )
        about = f"{client} asks this proxy for every registry that it answers for; images keep their names."
        return Setup(about, (file, *anchors_of(proxy)), then)

    return make


def _podman(proxy: HttpProxy) -> Setup:
    variables = ", ".join(quoted(f"{name}={value}") for name, value in proxy.variables)
    lines = (
        "# For what pulls; containers are given no such variables, whose programs would ask this proxy for everything.",
        "[engine]",
        f"env = [{variables}]",
        "[containers]",
        "http_proxy = false",
        "",
    )
    file = ClientFile(f"/etc/containers/containers.conf.d/{NAME}.conf", "\n".join(lines))
    then = (
        *_password(proxy, file.path),
        *trusting(proxy),
        "podman pull ghcr.io/ORG/NAME",
        "# Skopeo reads no such file: for it, see crproxy setup helm --proxy",
        _back(f"rm -f {file.path} {_OURS}", DEBIAN.tidy),
    )
    about = "Podman and Buildah ask this proxy for every registry that it answers for; images keep their names."
    return Setup(about, (file, *anchors_of(proxy)), then)


def _helm(proxy: HttpProxy) -> Setup:
    lines = (
        "# For a shell that pulls charts, and no other: whatever heeds these variables asks this proxy, which refuses",
        "# what it does not answer for.",
        *(f"export {name}={_shell(value)}" for name, value in proxy.variables),
        "",
    )
    file = ClientFile(f"{NAME}-proxy.sh", "\n".join(lines))
    then = (
        *_password(proxy, file.path),
        *trusting(proxy),
        f"(. ./{file.path} && helm pull oci://ghcr.io/ORG/CHART)",
        "# helm install asks the cluster as well: add its name to NO_PROXY, if it is asked by name",
        _back(f"rm -f {file.path} {_OURS}", DEBIAN.tidy),
    )
    about = "Helm asks this proxy for charts, by their own names. The images that they deploy are pulled by the nodes."
    return Setup(about, (file, *anchors_of(proxy)), then)


def _buildkit(proxy: HttpProxy) -> Setup:
    trusted = ClientFile(f"/etc/buildkit/{NAME}-ca.pem", "".join(anchor.pem for anchor in proxy.anchors))
    # A builder runs in a container, which has the files that the configuration names and not the machine's trust.
    tables = (f"[registry.{quoted(name)}]\n  ca = [{quoted(trusted.path)}]\n" for name in proxy.names)
    config = ClientFile(f"/etc/buildkit/{NAME}.toml", "".join(tables))
    options = [f"--buildkitd-config {config.path}", *(["--driver-opt network=host"] if proxy.is_loopback else [])]
    options += (f"--driver-opt {_shell(_csv(f'env.{name}={value}'))}" for name, value in proxy.variables)
    then = (
        *_password(proxy),
        *(f"# a CA in {trusted.path} has the SHA-256 {anchor.fingerprint}" for anchor in proxy.anchors),
        f"docker buildx create --name {NAME} --use --driver docker-container {' '.join(options)}",
        "docker buildx build .",
        "# a buildkitd of one's own: HTTPS_PROXY and NO_PROXY in its environment, and "
        f"buildkitd --config {config.path}, or these lines in its file",
        "# what ADD and Git contexts fetch is asked of the proxy, too: tunnel under its [proxy] lets it through",
        _back(f"docker buildx rm {NAME}", f"rm -f {config.path} {trusted.path}"),
    )
    about = (
        "A builder of buildx pulls what FROM names through this proxy; images keep their names. Steps of a build do "
        "not see the proxy. The builder that is Docker's own is set up as Docker is."
    )
    return Setup(about, (config, trusted), then)


def _shell(text: str) -> str:
    """Return ``text`` as one word of a shell's."""
    return "'" + text.replace("'", "'\\''") + "'"


def _csv(text: str) -> str:
    """Return ``text`` as one field of a line of CSV, which buildx takes such an option for."""
    return f'"{text}"'


def _kubernetes(proxy: HttpProxy) -> Setup:
    made = _service("containerd, on each node,", "containerd", "crictl pull registry.k8s.io/pause:3.10")(proxy)
    pem = "".join(f"  {line}\n" for anchor in proxy.anchors for line in anchor.pem.splitlines())
    patch = (
        "# For Talos, in the place of the other files.\n"
        f"apiVersion: v1alpha1\nkind: TrustedRootsConfig\nname: {NAME}\ncertificates: |-\n{pem}---\n"
        f"machine:\n  env:\n    https_proxy: {quoted(proxy.url)}\n    no_proxy: {quoted(proxy.direct)}\n"
    )
    talos = ClientFile(f"{NAME}-talos.yaml", patch)
    *then, back = made.then
    return Setup(
        made.about,
        (*made.files, talos),
        (
            *then,
            "# where CRI-O runs containers: crio in the place of containerd, in the path and in the command",
            "# on K3s: CONTAINERD_HTTPS_PROXY and CONTAINERD_NO_PROXY in /etc/systemd/system/k3s.service.env",
            f"# on Talos: talosctl patch machineconfig --patch @{talos.path}; it asks for more than images, which "
            'tunnel = ["*.talos.dev"] under [proxy] lets through; to go back, talosctl edit machineconfig',
            back,
        ),
    )


def _password(proxy: HttpProxy, path: str | None = None, shown: str | None = None) -> Iterator[str]:
    """Yield what is to be done with a password in a file at ``path``, which the command ``shown`` shows as well."""
    if proxy.login is None:
        return
    if proxy.login.password is None:
        yield "# put the password in the place of PASSWORD, percent-encoded (RFC 3986, 2.1)" + (
            "; each % is written twice there" if shown else ""
        )
    if path is not None:
        yield f"chmod 600 {path}"
    if shown is not None:
        yield f"# whoever may run {shown} on this machine sees the password all the same"


def _back(*commands: str) -> str:
    return f"# to go back: {' && '.join(commands)}"


PROXIED: Mapping[str, Callable[[HttpProxy], Setup]] = {
    "docker": _service("Docker", "docker", "docker pull ghcr.io/ORG/NAME"),
    "containerd": _service("containerd", "containerd", "crictl pull registry.k8s.io/pause:3.10"),
    "podman": _podman,
    "buildkit": _buildkit,
    "kubernetes": _kubernetes,
    "helm": _helm,
    "ollama": _service("Ollama", "ollama", "ollama pull llama3"),
}
"""By the name of the client."""
