"""Where images stand in commands: what is pulled or run is one, what is built, tagged or pushed is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .command_flags import SWITCHES, positional
from .places import Place, Reason
from .shell_words import Word, commands

__all__ = ["TOOLS", "begins_with_a_tool", "places_in"]

# In front of a command: other commands, what the shell says, and what a reader copied with it.
_IN_FRONT = frozenset(
    {
        *("!", "$", ">", "{"),
        *("command", "do", "else", "env", "exec", "if", "nohup", "sudo", "then", "time", "until", "while"),
    }
)

_ENGINES = frozenset({"docker", "nerdctl", "podman", "lima", "finch"})
_IMAGE_FLAGS = frozenset({"kubectl", "oc", "k3d", "kind", "minikube"})
_TRANSPORTS = frozenset({"apptainer", "singularity"})
TOOLS = frozenset(
    {*_ENGINES, *_IMAGE_FLAGS, *_TRANSPORTS, "buildah", "crane", "crictl", "ctr", "helm", "oras", "regctl", "skopeo"}
)
"""The commands that are known here."""

# Verbs of each, and how many of what follows are images: None is all.
_ENGINE_VERBS = {
    ("pull",): None,
    ("image", "pull"): None,
    ("run",): 1,
    ("create",): 1,
    ("container", "run"): 1,
    ("container", "create"): 1,
    ("service", "create"): 1,
}
# Whose images are there once they were pulled, under the name by which they were.
_LOCAL_VERBS = {
    ("tag",): 1,
    ("image", "tag"): 1,
    ("save",): None,
    ("image", "save"): None,
    ("inspect",): None,
    ("image", "inspect"): None,
    ("history",): 1,
    ("rmi",): None,
    ("image", "rm"): None,
}
_VERBS: dict[str, dict[tuple[str, ...], int | None]] = {
    **dict.fromkeys(_ENGINES, _ENGINE_VERBS),
    "buildah": {("from",): 1, ("pull",): None},
    "crane": {
        (verb,): 1 for verb in ("pull", "copy", "cp", "manifest", "digest", "config", "export", "ls", "validate")
    },
    "crictl": {("pull",): 1},
    "ctr": {("images", "pull"): 1, ("image", "pull"): 1, ("i", "pull"): 1, ("run",): 1},
    "oras": {("pull",): 1, ("copy",): 1, ("cp",): 1, ("manifest", "fetch"): 1},
    "regctl": {("image", "copy"): 1, ("image", "manifest"): 1, ("manifest", "get"): 1},
    "skopeo": {("copy",): 1, ("inspect",): 1, ("list-tags",): 1},
}
_BUILDERS = frozenset({"build", "buildx", "bake"})
_CONTEXT = "docker-image://"


def places_in(text: str) -> Iterator[Place]:
    """Give the places of images in the commands of ``text``.

    The name of an image that is there already, as in ``docker tag``, is one where a command of the same text pulls it.
    """
    pulled: set[str] = set()
    local: list[Place] = []
    for words in commands(text):
        command = _Command.of(text, words)
        if command is None:
            continue
        for place in command.pulled():
            pulled.add(text[place.start : place.end])
            yield place
        local += command.local()
    yield from (place for place in local if text[place.start : place.end] in pulled)


def begins_with_a_tool(text: str) -> bool:
    """Tell whether the first command of ``text`` is one that is known here."""
    words = next(commands(text), None)
    return words is not None and _Command.of(text, words) is not None


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: a tool that is known, and what it is told."""

    text: str
    tool: str
    words: list[Word]

    @classmethod
    def of(cls, text: str, words: list[Word]) -> _Command | None:
        was_sudo = False
        for number, word in enumerate(words):
            said = text[word.start : word.end]
            is_assignment = "=" in said and said.partition("=")[0].replace("_", "a").isalnum()
            if said in _IN_FRONT or is_assignment or (was_sudo and said.startswith("-")):
                was_sudo = was_sudo or said == "sudo"
                continue
            tool = said.rpartition("/")[2]
            return cls(text, tool, words[number + 1 :]) if tool in TOOLS else None
        return None

    def pulled(self) -> Iterator[Place]:
        """Give the images that it fetches."""
        if self.tool in _IMAGE_FLAGS:
            yield from self._image_flags()
        elif self.tool == "helm":
            yield from self._charts()
        elif self.tool in _TRANSPORTS:
            yield from (self._place(word) for word in self.words if self._of(word).startswith("docker://"))
        elif not (self.tool in _ENGINES and any(self._of(word) in _BUILDERS for word in self.words[:2])):
            yield from self._by_verb(_VERBS[self.tool])
        else:
            yield from self._contexts()

    def local(self) -> Iterator[Place]:
        """Give the images that have to be there."""
        if self.tool in _ENGINES:
            yield from self._by_verb(_LOCAL_VERBS)

    def _by_verb(self, verbs: dict[tuple[str, ...], int | None]) -> Iterator[Place]:
        """Give what follows a verb, in front of whatever the image is to run."""
        rest = positional(self.text, self.words, SWITCHES)
        said: list[str] = []
        for word in rest:
            said.append(self._of(word))
            if tuple(said) in verbs:
                break
            if len(said) == 2:
                return
        else:
            return
        most = verbs[tuple(said)]
        for number, word in enumerate(rest):
            if most is not None and number == most:
                return
            if self.tool == "skopeo" and not self._of(word).startswith("docker://"):
                # From a directory, or an archive.
                continue
            yield self._place(word)

    def _image_flags(self) -> Iterator[Place]:
        for number, word in enumerate(self.words):
            flag, equals, _ = self._of(word).partition("=")
            if flag not in ("--image", "--base-image"):
                continue
            if equals:
                yield self._place(word, skip=len(flag) + 1)
            elif number + 1 < len(self.words):
                yield self._place(self.words[number + 1])
        if [self._of(word) for word in self.words[:2]] == ["set", "image"]:
            for word in self.words[2:]:
                name, equals, _ = self._of(word).partition("=")
                if equals and not name.startswith("-"):
                    yield self._place(word, skip=len(name) + 1)

    def _charts(self) -> Iterator[Place]:
        if self.words and self._of(self.words[0]) == "push":
            return
        for word in self.words:
            if self._of(word).startswith("oci://"):
                yield self._place(word, skip=len("oci://"))

    def _contexts(self) -> Iterator[Place]:
        """Give the images that a build is to take for a context: what it makes is named by other options."""
        for word in self.words:
            at = self._of(word).find(_CONTEXT)
            if at > 0:
                yield self._place(word, skip=at + len(_CONTEXT))

    def _place(self, word: Word, *, skip: int = 0) -> Place:
        reason = None if word.is_plain else Reason.WRITTEN_OTHERWISE
        return Place(word.start + skip, word.end, reason=reason)

    def _of(self, word: Word) -> str:
        return self.text[word.start : word.end]
