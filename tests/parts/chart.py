"""The Helm chart: rendered by the real helm, and what comes of it."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .requirements import need

__all__ = [
    "CHART",
    "EXAMPLES",
    "EXAMPLE_NAMES",
    "NAMESPACE",
    "Rendering",
    "lint",
    "render",
    "render_text",
    "try_render",
]

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy" / "helm" / "crproxy"
EXAMPLES = ROOT / "deploy" / "helm" / "examples"
EXAMPLE_NAMES = tuple(sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
NAMESPACE = "crproxy"
# What helm takes the cluster for: one that go install has built knows no better.
_KUBE_VERSION = "1.34.0"


@dataclass(frozen=True)
class Rendering:
    """The resources that a release is made of.

    Arguments:
        resources: in helm's order.
    """

    resources: tuple[dict[str, Any], ...]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return those of a kind."""
        return [resource for resource in self.resources if resource["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the only one of a kind, or the one of that name."""
        (found,) = (found for found in self.all(kind) if name in (None, found["metadata"]["name"]))
        return found

    @property
    def pod(self) -> Any:
        """What each pod is made by: metadata and spec."""
        return self.one("StatefulSet")["spec"]["template"]

    @property
    def container(self) -> Any:
        """The only container of a pod."""
        (container,) = self.pod["spec"]["containers"]
        return container

    @property
    def toml(self) -> str:
        """The configuration file."""
        (text,) = self.one("ConfigMap")["data"].values()
        assert isinstance(text, str)
        return text


def render(example: str | None = None, values: dict[str, Any] | None = None, **more: Any) -> Rendering:
    """Return what the chart makes of an example's values, with others over them."""
    text = render_text(example, json.dumps({**(values or {}), **more}, ensure_ascii=False))
    return Rendering(tuple(found for found in yaml.safe_load_all(text) if found))


@functools.cache
def render_text(example: str | None, values: str = "{}") -> str:
    """Return what ``helm template`` prints.

    Arguments:
        example: whose values are taken.
        values: more of them, as JSON.
    """
    done = _helm("template", example, values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def try_render(example: str | None, values: dict[str, Any]) -> str:
    """Return what helm says of values that it refuses."""
    done = _helm("template", example, json.dumps(values))
    assert done.returncode != 0, "these were taken"
    return done.stderr


def lint(example: str | None, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Return what ``helm lint --strict`` made of it."""
    return _helm("lint", example, json.dumps(values))


def _helm(command: str, example: str | None, values: str) -> subprocess.CompletedProcess[str]:
    words = [need("helm"), command, *(["crproxy"] if command == "template" else ["--strict"]), str(CHART)]
    words += [f"--namespace={NAMESPACE}", f"--kube-version={_KUBE_VERSION}", "--values=-"]
    if example is not None:
        words.insert(-1, f"--values={EXAMPLES / example}.yaml")
    # What one has installed as a user is not asked for.
    environment = {"PATH": "/nonexistent", "HOME": "/nonexistent"}
    done = subprocess.run(words, input=values, capture_output=True, encoding="utf-8", check=False, env=environment)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, re.sub(r"\s+", " ", done.stderr))
