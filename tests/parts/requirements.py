"""What the machine must have, and what a test does where it has not.

On a developer's machine a missing tool skips the test and says what to install; in CI it is a failure, because a
suite that skips everything is green as well.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

__all__ = ["missing", "need", "need_root", "need_tracing"]

_CAP_SYS_PTRACE = 19
# Where .ci/go-programs leaves what it builds.
_ENVIRONMENT = Path(sys.executable).parent
_GO_PROGRAMS = frozenset(
    {
        "buildctl",
        "buildkitd",
        "compose-spec",
        "cosign",
        "crictl",
        "docker-buildx",
        "go-verifier",
        "helm",
        "moby-dockerd",
        "strict-kinds",
        "versitygw",
    }
)
_DEBIAN_PACKAGES = {
    "basic_ncsa_auth": "squid-openssl",
    "buildah": "buildah",
    "certtool": "gnutls-bin",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "containerd": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "groff": "groff-base",
    "ip": "iproute2",
    "kubectl": "kubernetes-client",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "pebble": "pebble",
    "podman": "podman",
    "promtool": "prometheus",
    "runc": "runc",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "squid": "squid-openssl",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
    "tc": "iproute2",
    "umount": "mount",
    "unshare": "util-linux",
}


def need(tool: str) -> str:
    """Return the path of ``tool``, or skip (in CI: fail) with the name of the package that has it."""
    path = shutil.which(tool) or shutil.which(tool, path=f"/usr/sbin:/sbin:/usr/lib/squid:{_ENVIRONMENT}")
    if path is None:
        if tool in _GO_PROGRAMS:
            missing(f"{tool} is not built: make packages")
        missing(f"{tool} is not installed: apt-get install {_DEBIAN_PACKAGES.get(tool, tool)}")
        raise AssertionError("not reached")
    return path


def need_root(purpose: str) -> None:
    """Skip (in CI: fail) unless the tests run as root."""
    if os.geteuid() != 0:
        missing(f"{purpose} needs root")


def need_tracing(purpose: str) -> None:
    """Skip (in CI: fail) unless processes that are none of our children may be traced.

    That takes CAP_SYS_PTRACE, or a kernel that lets everybody trace his own (ptrace(2), ptrace_scope).
    """
    status = Path("/proc/self/status").read_text()
    (effective,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    is_open = not scope.exists() or scope.read_text().strip() == "0"
    if not (is_open or effective >> _CAP_SYS_PTRACE & 1):
        missing(f"{purpose} needs CAP_SYS_PTRACE, or 0 in {scope}")


def missing(reason: str) -> None:
    """Skip (in CI: fail) for want of something."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
