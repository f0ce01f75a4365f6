"""Where images stand in YAML and JSON: compose files, manifests, Helm's values, kustomizations, pipelines of CI.

The key decides, not the kind of the file: there are more kinds than anybody could list, custom resources among them,
and they agree on the word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import dockerfile, shell
from .places import Place, Reason, Role
from .yaml_scalars import block_of, place_of
from .yaml_tree import Mapping, Node, Scalar, Sequence

__all__ = ["places_in"]

# The keys that lead to a node, and this for an item of a sequence.
Path = tuple[str, ...]
_ITEM = "-"

_CONTEXT = "docker-image://"
# Of shell: GitLab's, GitHub's, Azure's and Task's; Kubernetes' and compose's.
_SCRIPTS = frozenset(
    {"after_script", "args", "bash", "before_script", "cmd", "cmds", "command", "run", "script", "sh", "shell"}
)
_REPOSITORY = ("repository", "repo")
# What stands beside a repository that is an image's.
_BESIDE = ("tag", "digest", "sha", "pullPolicy", "imagePullPolicy", "registry")
_KUSTOMIZED = ("newTag", "digest", "newName")


def places_in(text: str, roots: list[Node]) -> Iterator[Place]:
    """Give the places of images in these documents of ``text``."""
    for root in roots:
        yield from _Document(text, root).places()


@dataclass(frozen=True, slots=True)
class _Document:
    text: str
    root: Node

    def places(self) -> Iterator[Place]:
        if isinstance(self.root, Sequence):
            yield from self._names(self.root, is_sure=False)
        yield from self._node(self.root, ())

    def _node(self, node: Node, path: Path) -> Iterator[Place]:
        match node:
            case Mapping():
                yield from self._mapping(node, path)
            case Sequence(items):
                for item in items:
                    yield from self._node(item, (*path, _ITEM))
            case Scalar():
                yield from self._anywhere(node)

    def _mapping(self, mapping: Mapping, path: Path) -> Iterator[Place]:
        yield from self._pair(mapping)
        for key, value in mapping.pairs:
            match value:
                case Scalar():
                    yield from self._scalar(mapping, key.value, value, path)
                case Mapping():
                    yield from self._image_of(key.value, value)
                case Sequence():
                    yield from self._sequence(key.value, value, path)
            if key.value in _SCRIPTS:
                yield from self._script(value)
            yield from self._node(value, (*path, key.value))

    # A key with a text

    def _scalar(self, mapping: Mapping, key: str, value: Scalar, path: Path) -> Iterator[Place]:
        if key == "image":
            yield from self._image(mapping, value, path)
        elif key == "imageRegistry":
            yield self._place(value, Role.REGISTRY)
        elif key.endswith(("Image", "_IMAGE")) or (path[-1:] == ("images",) and key != "name"):
            yield self._place(value, is_sure=False)
        elif (key == "container" and len(path) == 2 and path[0] == "jobs" and path[1] != _ITEM) or (
            key == "uses" and value.value.startswith("docker://")
        ):
            yield self._place(value)
        elif key == "dockerfile_inline":
            block = block_of(self.text, value)
            if block is not None:
                yield from (one.moved(block[0]) for one in dockerfile.places_in(self.text[slice(*block)]))

    def _image(self, mapping: Mapping, value: Scalar, path: Path) -> Iterator[Place]:
        if path[-1:] == ("machine",) or value.value == "Dockerfile":
            # A machine of CircleCI's; an action of GitHub's that is built.
            return
        registry = mapping.scalar("registry")
        if registry is not None:
            yield self._place(registry, Role.REGISTRY)
        elif "build" in mapping or path[-3:] == ("build", "artifacts", _ITEM):
            yield replace(self._place(value), reason=Reason.BUILT)
        else:
            yield self._place(value)

    def _anywhere(self, scalar: Scalar) -> Iterator[Place]:
        """Give what says by itself that it is an image, whatever it stands under."""
        value = scalar.value
        at = value.find(_CONTEXT)
        if at == 0 or (at > 0 and value[at - 1] == "="):
            yield self._place(scalar, skip=at + len(_CONTEXT))
        name, equals, _ = value.partition("=")
        if equals and ((name.startswith("--") and name.endswith("image")) or name.endswith("_IMAGE")):
            yield self._place(scalar, is_sure=False, skip=len(name) + 1)

    # Several keys together

    def _pair(self, mapping: Mapping) -> Iterator[Place]:
        """Give what is an image by what stands beside it."""
        source, kind = mapping.scalar("source"), mapping.scalar("type")
        if source is not None and kind is not None and kind.value == "image":
            # A volume of compose's.
            yield self._place(source)
        name, value = mapping.scalar("name"), mapping.scalar("value")
        if name is not None and value is not None and name.value.endswith("_IMAGE"):
            # A variable of Kubernetes'.
            yield self._place(value, is_sure=False)

    def _image_of(self, key: str, mapping: Mapping) -> Iterator[Place]:
        """Give the image that a mapping describes, as Helm's values have it."""
        is_image = key == "image" or key.endswith("Image")
        repository = next(filter(None, map(mapping.scalar, _REPOSITORY)), None)
        registry = mapping.scalar("registry")
        if repository is not None and (is_image or any(one in mapping for one in _BESIDE)):
            yield self._place(repository) if registry is None else self._place(registry, Role.REGISTRY)
        elif is_image:
            name = mapping.scalar("name") or mapping.scalar("reference")
            if registry is not None:
                yield self._place(registry, Role.REGISTRY)
            elif name is not None:
                yield self._place(name)

    def _sequence(self, key: str, sequence: Sequence, path: Path) -> Iterator[Place]:
        if key == "services" and not (isinstance(self.root, Mapping) and "pipelines" in self.root):
            yield from self._services(sequence)
        elif key == "images":
            yield from self._names(sequence, is_sure=True)
            yield from self._listed(sequence)
        elif key in ("image", "container"):
            # Of a matrix.
            yield from self._names(sequence, is_sure=False)

    def _names(self, sequence: Sequence, *, is_sure: bool) -> Iterator[Place]:
        yield from (self._place(item, is_sure=is_sure) for item in sequence.items if isinstance(item, Scalar))

    def _services(self, sequence: Sequence) -> Iterator[Place]:
        """Give the images of GitLab's services: one that has an image beside its name is another's.

        A job reaches a service by the name of its image, unless it has an alias.
        """
        for item in sequence.items:
            if isinstance(item, Scalar):
                yield replace(self._place(item), reason=Reason.SERVICE)
            elif isinstance(item, Mapping) and "image" not in item and (name := item.scalar("name")) is not None:
                yield self._place(name) if "alias" in item else replace(self._place(name), reason=Reason.SERVICE)

    def _listed(self, sequence: Sequence) -> Iterator[Place]:
        """Give the images of a kustomization, or of any other list."""
        for item in sequence.items:
            name = item.scalar("name") if isinstance(item, Mapping) else None
            if not isinstance(item, Mapping) or name is None:
                continue
            new = item.scalar("newName")
            if new is not None:
                yield self._place(new)
            elif any(one in item for one in _KUSTOMIZED):
                yield self._new_name(item, name)
            else:
                yield self._place(name, is_sure=False)

    def _new_name(self, item: Mapping, name: Scalar) -> Place:
        """Return where a kustomization gets its ``newName``: the name itself says which images are meant."""
        key = next(key for key, value in item.pairs if value is name)
        behind = ", " if item.is_flow else self._line_like(key)
        return replace(self._place(name), insert_at=key.start, before="newName: ", behind=behind)

    def _line_like(self, key: Scalar) -> str:
        """Return the end of a line, and the indentation of ``key``."""
        line = self.text.rfind("\n", 0, key.start) + 1
        indent = "".join(character if character == "\t" else " " for character in self.text[line : key.start])
        behind = self.text.find("\n", key.end)
        return ("\r\n" if behind > 0 and self.text[behind - 1] == "\r" else "\n") + indent

    # What has a language of its own

    def _script(self, value: Node) -> Iterator[Place]:
        for scalar in value.items if isinstance(value, Sequence) else [value]:
            block = block_of(self.text, scalar) if isinstance(scalar, Scalar) else None
            if block is not None:
                yield from (one.moved(block[0]) for one in shell.places_in(self.text[slice(*block)]))

    def _place(self, scalar: Scalar, role: Role = Role.NAME, *, is_sure: bool = True, skip: int = 0) -> Place:
        return place_of(self.text, scalar, role, is_sure=is_sure, skip=skip)
