"""What is made from the Helm chart: the plain manifests in deploy/kubernetes, and the table of values in its README.

``python -m tests.manifests --write`` writes them anew.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.parts.chart import CHART, ROOT, render_text

__all__ = ["README", "SETS", "Value", "manifests", "readme", "values_of"]

README = CHART / "README.md"
KUBERNETES = ROOT / "deploy" / "kubernetes"
# Where each goes, and which example it is made of.
SETS = {KUBERNETES: "single", KUBERNETES / "fleet": "fleet"}

_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: crproxy
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
_KUSTOMIZATION = """\
# kubectl apply -k {where}
#
# Made from deploy/helm/crproxy by make manifests.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
{resources}
images:
  # Where the nodes find it.
  - name: crproxy
    newName: registry.example.com/crproxy
    newTag: "{version}"
"""
# Helm's own words, which would not be true.
_OF_HELM = re.compile(r"^ *(?:helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: crproxy/templates/(.+)$", re.MULTILINE)
# Without the checksum of a configuration that is edited where it is.
_PLAIN = '{"restartOnChange": false}'
_COMMENT = re.compile(r"^( *)# (.+)$")
_KEY = re.compile(r"^( *)(\w+):(?: .*)?$")


def manifests() -> dict[Path, str]:
    """Return the text of each file below deploy/kubernetes."""
    return {path: text for directory, example in SETS.items() for path, text in _set(directory, example)}


def _set(directory: Path, example: str) -> Iterator[tuple[Path, str]]:
    names = ["namespace.yaml"]
    yield directory / names[0], _NAMESPACE
    for document in re.split(r"^---\n", render_text(example, _PLAIN), flags=re.MULTILINE)[1:]:
        (name,) = _SOURCE.findall(document)
        names.append(name)
        text = re.sub(r"[ \t]+$", "", _OF_HELM.sub("", _SOURCE.sub("", document)), flags=re.MULTILINE)
        yield directory / name, f"{text.strip()}\n"
    resources = "\n".join(f"  - {name}" for name in sorted(names))
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
    where = directory.relative_to(ROOT).as_posix()
    text = _KUSTOMIZATION.format(where=where, resources=resources, version=version)
    yield directory / "kustomization.yaml", text


# The table of values


class Value(NamedTuple):
    """A row of it: name, meaning, and what it is where nothing is said."""

    name: str
    meaning: str
    usual: str


def values_of(text: str) -> Iterator[Value]:
    """Give the rows of a values.yaml: each key with a comment above it. Raises ValueError where one has none."""
    usual = yaml.safe_load(text)
    path: list[str] = []
    said: str | None = None
    within: int | None = None
    for line in text.splitlines():
        comment, key = _COMMENT.match(line), _KEY.match(line)
        if key is not None:
            depth = len(key[1]) // 2
            # What is below a key that has a comment is its value.
            within = None if within is not None and depth <= within else within
            if within is None:
                path[depth:] = [key[2]]
                if said is not None:
                    yield Value(".".join(path), said, _default(usual, path))
                    within = depth
                elif not _has_keys(usual, path):
                    raise ValueError(f"{'.'.join(path)} has no comment")
        said = comment[2] if comment is not None else None


def _has_keys(usual: object, path: list[str]) -> bool:
    value = _at(usual, path)
    return isinstance(value, dict) and bool(value)


def _at(value: object, path: list[str]) -> object:
    for key in path:
        assert isinstance(value, dict)
        value = value[key]
    return value


def _default(usual: object, path: list[str]) -> str:
    value = _at(usual, path)
    text = str(yaml.safe_dump(value, default_flow_style=True, width=1000))
    return '""' if value == "" else text.removesuffix("\n...\n").strip()


def readme(page: str) -> str:
    """Return the chart's README with the table as it is now."""
    rows = "\n".join(f"| `{name}` | {said} | `{usual}` |" for name, said, usual in values_of(_values()))
    before, rest = page.split("<!-- values -->\n", 1)
    after = rest.split("<!-- end of values -->\n", 1)[1]
    table = f"| value | meaning | default |\n|---|---|---|\n{rows}\n"
    return f"{before}<!-- values -->\n{table}<!-- end of values -->\n{after}"


def _values() -> str:
    return (CHART / "values.yaml").read_text("utf-8")


def main() -> None:
    """Write them, where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write them")
    if parser.parse_args().write:
        made = manifests()
        for directory in SETS:
            directory.mkdir(parents=True, exist_ok=True)
            for old in set(directory.glob("*.yaml")) - made.keys():
                old.unlink()
        for path, text in made.items():
            path.write_text(text, "utf-8")
        README.write_text(readme(README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
