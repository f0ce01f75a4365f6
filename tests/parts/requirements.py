"""What the machine must have, and what a test does where it has not.

On a developer's machine a missing tool skips the test and says what to install; in CI it is a failure, because a
suite that skips everything is green as well.
"""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["need", "need_root"]

_DEBIAN_PACKAGES = {
    "basic_ncsa_auth": "squid-openssl",
    "buildah": "buildah",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "containerd": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "pebble": "pebble",
    "podman": "podman",
    "runc": "runc",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "squid": "squid-openssl",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
    "umount": "mount",
    "unshare": "util-linux",
}


def need(tool: str) -> str:
    """Return the path of ``tool``, or skip (in CI: fail) with the name of the package that has it."""
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/lib/squid")
    if path is None:
        _missing(f"{tool} is not installed: apt-get install {_DEBIAN_PACKAGES.get(tool, tool)}")
        raise AssertionError("not reached")
    return path


def need_root(purpose: str) -> None:
    """Skip (in CI: fail) unless the tests run as root."""
    if os.geteuid() != 0:
        _missing(f"{purpose} needs root")


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
