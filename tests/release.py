"""What a release is cut by: the version where it is repeated, what must be right before a tag, and the release's notes.

The version is in ``crproxy/__init__.py``. What repeats it, because it is read by others, is written from there.

    python -m tests.release write 0.2.0     # make release VERSION=0.2.0 does this and what follows from it
    python -m tests.release check v0.2.0
    python -m tests.release notes v0.2.0
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["COPIES", "ORIGIN", "check", "notes", "released", "version_in", "write"]

ROOT = Path(__file__).parent.parent

ORIGIN = ("crproxy/__init__.py", r'^__version__ = "(.+)"$')
# File, and the line that has the version there.
COPIES = {
    # The usual tag of the image; deploy/kubernetes is made from it.
    "deploy/helm/crproxy/Chart.yaml": r'^appVersion: "(.+)"$',
    "Dockerfile": r'^ +org\.opencontainers\.image\.version="(.+)"',
    # make man
    "share/man/man1/crproxy.1": r'^\.TH CRPROXY 1 "[-\d]+" "crproxy (.+?)"',
    "share/man/man5/crproxy.toml.5": r'^\.TH CRPROXY\.TOML 5 "[-\d]+" "crproxy (.+?)"',
}

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SECTION = re.compile(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


def version_in(root: Path, file: str, pattern: str) -> str:
    """Return the version that a file has. Raises ValueError where it has none, or several."""
    found = re.findall(pattern, (root / file).read_text("utf-8"), re.MULTILINE)
    if len(found) != 1:
        raise ValueError(f"{file}: a line like {pattern} is there {len(found)} times")
    return str(found[0])


def write(root: Path, version: str) -> None:
    """Write ``version`` where it is kept, and where it is repeated by hand. Raises ValueError where it is none."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: write one such as 0.2.0")
    for file, pattern in (ORIGIN, *COPIES.items()):
        version_in(root, file, pattern)
        text = (root / file).read_text("utf-8")
        found = re.search(pattern, text, re.MULTILINE)
        assert found is not None
        (root / file).write_text(f"{text[: found.start(1)]}{version}{text[found.end(1) :]}", "utf-8")


def check(root: Path, tag: str) -> Iterator[str]:
    """Give what is wrong with releasing the tree as ``tag``, such as v0.2.0."""
    version = tag.removeprefix("v")
    if not tag.startswith("v") or not _VERSION.fullmatch(version):
        yield f"{tag!r} is no tag of a release: write one such as v0.2.0"
        return
    for file, pattern in (ORIGIN, *COPIES.items()):
        found = version_in(root, file, pattern)
        if found != version:
            yield f"{file} has {found}, the tag {version}: make release VERSION={version}"
    if (newest := next(iter(released(root)), None)) != version:
        yield f"CHANGELOG.md begins with {newest}: make release VERSION={version}"
    left = sorted(path.name for path in (root / "changes").glob("*.*.md"))
    if left:
        yield f"changes/ has what is not in CHANGELOG.md: {', '.join(left)}"


def released(root: Path) -> dict[str, str]:
    """Return the versions in the changelog with their dates, the newest first."""
    return dict(_SECTION.findall((root / "CHANGELOG.md").read_text("utf-8")))


def notes(root: Path, version: str) -> str:
    """Return what the changelog says of a version. Raises ValueError where it says nothing."""
    parts = _SECTION.split((root / "CHANGELOG.md").read_text("utf-8"))
    for found, text in zip(parts[1::3], parts[3::3], strict=True):
        if found == version:
            return f"{text.strip()}\n"
    raise ValueError(f"CHANGELOG.md has nothing of {version}")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "check", "notes"])
    parser.add_argument("version", help="0.2.0, or the tag v0.2.0")
    said = parser.parse_args()
    try:
        if said.what == "write":
            write(ROOT, said.version)
        elif said.what == "notes":
            print(notes(ROOT, said.version.removeprefix("v")), end="")
        else:
            sys.exit("\n".join(check(ROOT, said.version)) or 0)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
