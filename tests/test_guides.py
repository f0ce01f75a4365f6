"""docs/guides: each has its parts, and what a reader copies from it is what is taken, as far as is known here.

tests/integration/test_guides.py runs what can be run.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from crproxy.config import Options, load
from crproxy.oci.names import Registry
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.routing import Names, route
from crproxy.policy.setups import SETUPS
from crproxy.policy.setups.target import Target

from .parts.guides import DIRECTORY, blocks, only

GUIDES = sorted(path.stem for path in DIRECTORY.glob("*.md") if path.stem != "README")
# The first table of files that belong to others.
OTHERS = re.compile(r"^\[+(?:host|plugins|runners|registry)\b", re.MULTILINE)


def every(language: str) -> list[Any]:
    """All blocks in a language, each with a name."""
    return [
        pytest.param(body, id=f"{guide}-{number}")
        for guide in GUIDES
        for number, body in enumerate(blocks(guide, language))
    ]


def test_the_index_has_each() -> None:
    listed = re.findall(r"^\| \[[^\]]+\]\(([\w-]+)\.md\)", (DIRECTORY / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == GUIDES


@pytest.mark.parametrize("guide", GUIDES)
def test_it_says_what_is_needed_what_to_do_how_to_see_it_and_what_goes_wrong(guide: str) -> None:
    headings = re.findall(r"^## ([^:\n]+)", (DIRECTORY / f"{guide}.md").read_text("utf-8"), re.MULTILINE)
    assert list(dict.fromkeys(headings)) == ["What you need", "Steps", "It works when", "What goes wrong"]


@pytest.mark.parametrize("body", every("toml"))
def test_toml(body: str) -> None:
    """A configuration of crproxy's is one that it takes; others' files are TOML."""
    if OTHERS.search(body):
        tomllib.loads(body)
    else:
        load(body, Options(), read_file=lambda _: "secret\n")


@pytest.mark.parametrize("body", every("json"))
def test_json(body: str) -> None:
    document = json.loads(body)
    mirrors = [mirror.split("://")[1] for mirror in document.get("registry-mirrors", [])]
    plain = [mirror for mirror in document.get("registry-mirrors", []) if mirror.startswith("http://")]
    # Docker takes plain HTTP from this machine without being told, and from others when it is.
    assert all(mirror in document.get("insecure-registries", ["localhost:5000"]) for mirror in mirrors if plain)


@pytest.mark.parametrize("body", every("yaml"))
def test_yaml(body: str) -> None:
    """What is Kubernetes' own is valid there; of others' kinds it is known that they parse."""
    for document in yaml.safe_load_all(body):
        if document.get("apiVersion") == "v1":
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_an_alias_that_is_named_is_built_in_or_made_there() -> None:
    texts = [path.read_text("utf-8") for path in DIRECTORY.glob("*.md")]
    named = {label for text in texts for label in re.findall(r"(?<![\w*.-])([a-z0-9-]+)\.cr\.example\.com", text)}
    assert {"docker", "quay"} <= named <= BUILT_IN.keys()


class TestWhatIsPrinted:
    """What stands in a guide is what `crproxy setup` prints, but for its comments."""

    PLAIN = Target.at("192.0.2.10:5000", secure=False)

    def test_for_docker(self) -> None:
        (file,) = SETUPS["docker"](self.PLAIN).added
        assert json.loads(only("plain-http", "json")) == json.loads(file.text)

    @pytest.mark.parametrize(
        ("guide", "target"),
        [("plain-http", PLAIN), ("clusters", Target.at("cr.example.com", secure=True))],
        ids=["plain-http", "clusters"],
    )
    def test_for_containerd(self, guide: str, target: Target) -> None:
        (file,) = SETUPS["containerd"](target).files
        assert tomllib.loads(only(guide, "toml", containing="[host.")) == tomllib.loads(file.text)

    def test_for_podman(self) -> None:
        (file,) = SETUPS["podman"](replace(self.PLAIN, registries=(Registry.parse("quay.io"),))).files
        assert tomllib.loads(only("plain-http", "toml", containing="insecure")) == tomllib.loads(file.text)

    def test_for_k3s(self) -> None:
        (file,) = SETUPS["k3s"](Target.at("cr.example.com", secure=True)).files
        assert yaml.safe_load(only("clusters", "yaml", "### k3s")) == yaml.safe_load(file.text)


class TestKyverno:
    """Which names are rewritten: its functions are not here, but the pattern is one that Python reads alike."""

    RULES = yaml.safe_load(only("kyverno", "yaml"))["spec"]["rules"]

    @pytest.fixture(params=RULES, ids=lambda rule: rule["name"])
    def each(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        (found,) = request.param["mutate"]["foreach"]
        assert isinstance(found, dict)
        return found

    def written(self, each: dict[str, Any], image: str) -> str:
        (condition,) = each["preconditions"]["all"]
        found = re.fullmatch(r"\{\{ regex_match\('(.*)', '\{\{ element\.image \}\}'\) \}\}", condition["key"])
        assert found is not None
        assert (condition["operator"], condition["value"]) == ("Equals", False)
        ((container,),) = each["patchStrategicMerge"]["spec"].values()
        assert container["name"] == "{{ element.name }}"
        rewritten = str(container["image"]).replace("{{ element.image }}", image)
        return image if re.search(found[1], image) else rewritten

    @pytest.mark.parametrize(
        ("image", "registry", "repository"),
        [
            ("nginx", "docker.io", "library/nginx"),
            ("org/app", "docker.io", "org/app"),
            ("docker.io/library/nginx", "docker.io", "library/nginx"),
            ("quay.io/org/app", "quay.io", "org/app"),
            ("registry.k8s.io/pause", "registry.k8s.io", "pause"),
        ],
    )
    def test_what_is_rewritten_means_the_same_here(
        self, each: dict[str, Any], image: str, registry: str, repository: str
    ) -> None:
        host, _, name = self.written(each, image).partition("/")
        assert host == "cr.example.com"
        found = route(Names("cr.example.com"), host, name).repository
        assert (found.registry, found.path) == (Registry.parse(registry), repository)

    @pytest.mark.parametrize(
        "image",
        [
            "cr.example.com/nginx",
            "quay.cr.example.com/org/app",
            "registry.corp.example:5000/team/app:v1",
            "localhost/app",
        ],
    )
    def test_what_cannot_be_or_is_already_is_left(self, each: dict[str, Any], image: str) -> None:
        assert self.written(each, image) == image
