"""A base image made of this machine's own Python and the few programs that a recipe needs: nothing is fetched for it.

It stands for the image that the Dockerfile names, which is Debian with Python, and lacks most of what that has.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["RECIPE", "copy_libraries", "make_base"]

RECIPE = "FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/bin\n"

_PROGRAMS = ("sh", "cat", "chown", "env", "find", "id", "ls", "mkdir", "rm")
# What programs load that ldd does not tell of, and what wheels are built against (PEP 600).
_LIBRARIES = ("libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1")
_LIBRARIES_OF_NAMES = ("libm.so.6", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2")
_LEFT_OUT = ("site-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "config-3*", "lib2to3")
# Where Debian's own Python has the pip that it installs in environments.
_WHEELS = Path("/usr/share/python-wheels")
# How this machine reaches the network is for its containers as well.
_SETTINGS = ("hosts", "nsswitch.conf", "pip.conf", "resolv.conf", "ssl/certs/ca-certificates.crt")


def make_base(context: Path) -> None:
    """Write a directory that an image can be built from: a file system, and the recipe."""
    root = context / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    programs = [Path(found) for found in map(shutil.which, _PROGRAMS) if found is not None]
    python = _python(root)
    for path in {*programs, *_libraries([*programs, *python])}:
        _copy(path, root)
    for name in _SETTINGS:
        if (settings := Path("/etc") / name).exists():
            _copy(settings, root)
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    (root / "root").mkdir(exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (context / "Dockerfile").write_text(RECIPE)


def copy_libraries(program: Path, root: Path) -> None:
    """Copy what a program loads into ``root``, to where it looks for that."""
    for path in _libraries([program]):
        _copy(path, root)


def _python(root: Path) -> list[Path]:
    """Copy Python and its library into ``root``; return what of it may load libraries."""
    library = Path(sysconfig.get_path("stdlib"))
    copied = root / "usr" / "local" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(library, copied, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    (copied / "site-packages").mkdir()
    if _WHEELS.exists():
        shutil.copytree(_WHEELS, root / _WHEELS.relative_to("/"))
    program = root / "usr" / "local" / "bin" / "python3"
    program.parent.mkdir()
    shutil.copy2(Path(sys.executable).resolve(), program)
    return [program, *(library / "lib-dynload").glob("*.so")]


def _libraries(objects: Iterable[Path]) -> Iterator[Path]:
    for each in objects:
        told = subprocess.run(["ldd", str(each)], capture_output=True, text=True, check=False).stdout
        yield from map(Path, re.findall(r"(/\S+) \(0x", told))
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for name in (*_LIBRARIES, *_LIBRARIES_OF_NAMES):
        found = re.search(rf"^\s*{re.escape(name)} \(.*x86-64.*\) => (\S+)$", known, re.MULTILINE)
        if found is not None:
            yield Path(found[1])


def _copy(path: Path, root: Path) -> None:
    copy = root / path.relative_to("/")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)
