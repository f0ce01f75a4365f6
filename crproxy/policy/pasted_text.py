"""What people paste who want an image, read: its name, out of a command, a Dockerfile, a manifest or a web address.

Generous where people are careless, and strict about what comes out: an image by the specification's grammar, and a
form from a closed list. None of the text itself is handed on, so that a link to the page cannot put words into it.
Knows nothing of how the image is asked for here.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..oci.errors import ErrorCode, RegistryError
from ..oci.images import Image, ImageName
from ..oci.names import DOCKER_HUB, Registry, Repository, looks_like_registry
from .external_address import ExternalAddress
from .image_pages import image_of_page
from .ollama_names import ollama_name, says_hugging_face
from .routing import route

__all__ = ["LONGEST", "OLLAMA_FORM", "Mistake", "NotAnImage", "Note", "Pasted", "read_pasted"]

# Characters of pasted text: a Dockerfile has more, and what is meant is at its beginning.
LONGEST = 2000


class Mistake(enum.Enum):
    """What is wrong with pasted text."""

    NOTHING = enum.auto()
    TOO_LONG = enum.auto()
    NOT_A_NAME = enum.auto()
    NO_REPOSITORY = enum.auto()
    BAD_REGISTRY = enum.auto()
    BAD_TAG = enum.auto()
    BAD_DIGEST = enum.auto()
    SCRATCH = enum.auto()
    HUGGING_FACE = enum.auto()


class NotAnImage(Exception):
    """There is no image in pasted text."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.name)
        self.mistake = mistake


class Note(enum.Enum):
    """What was done to a name that was not as it has to be."""

    LOWERED = enum.auto()
    TAG_LEFT_OUT = enum.auto()


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was pasted.

    Arguments:
        image: which one is meant.
        form: what it stood in, with ``{}`` in its place: a command, or a line of a file.
        notes: what was done to its name.
    """

    image: Image
    form: str
    notes: tuple[Note, ...] = ()


# What each tool pulls with; whatever else it was told to do, this is how it gets the image.
_PULL = "docker pull {}"
OLLAMA_FORM = "ollama pull {}"
_TOOLS = {
    "apptainer": "apptainer pull docker://{}",
    "buildah": "buildah pull {}",
    "crane": "crane manifest {}",
    "crictl": "crictl pull {}",
    "ctr": "ctr images pull {}",
    "docker": _PULL,
    "helm": "helm pull oci://{}",
    "nerdctl": "nerdctl pull {}",
    "ollama": OLLAMA_FORM,
    "oras": "oras pull {}",
    "podman": "podman pull {}",
    "singularity": "singularity pull docker://{}",
    "skopeo": "skopeo inspect docker://{}",
}
_VERBS = frozenset(
    {
        "build",
        "container",
        "copy",
        "create",
        "fetch",
        "i",
        "image",
        "images",
        "inspect",
        "manifest",
        "pull",
        "run",
        "show",
    }
)
# Flags of these tools that take no value in the next word, unless they say so by "=".
_SWITCH = re.compile(
    r"-[adiqt]+|--(?:all|all-platforms|all-tags|detach|disable-content-trust|init|insecure|interactive|local|no-trunc"
    r"|plain-http|privileged|quiet|raw|read-only|rm|tls-verify|tty|unpack)"
)

_PROMPT = re.compile(r"^(?:[$>#]\s+|-\s+)+")
# Anywhere in a line: a browser's field makes one line of all that is pasted into it.
_FROM = re.compile(
    r"(?:^(?i:FROM)|\sFROM)\s+(?:--\S+\s+)*(?P<name>\S+)(?:\s+(?i:AS)\s+(?P<stage>[A-Za-z][A-Za-z0-9._-]{0,63})(?!\S))?"
)
# YAML wants a space behind the colon: without one it is an image of that name.
_FIELD = re.compile(
    r"""(?:^|[\s{,"'])[A-Za-z]*image(?:["']\s*:\s*|\s*:\s+|["']?\s*=\s*)(?P<name>[^\s,}]+)""", re.IGNORECASE
)
_FLAG = re.compile(r"\s--image[ =](?P<name>\S+)")
_COMMENT = re.compile(r"\s+(?:#|//|&&|\|\||[|;>]).*$")
_WRAPPING = "\"'`<>()[]{},;\\“”‘’「」"
_TRANSPORT = re.compile(r"^(?:docker|oci|https?|docker-daemon|containers-storage)://", re.I)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))

_MISTAKES = {
    ErrorCode.TAG_INVALID: Mistake.BAD_TAG,
    ErrorCode.DIGEST_INVALID: Mistake.BAD_DIGEST,
}


def read_pasted(text: str, address: ExternalAddress) -> Pasted:
    """Return what ``text`` means: its first line that names an image.

    Arguments:
        address: this proxy, whose own names may already stand in front.

    Raises:
        NotAnImage: there is none; of several lines, what is wrong with the first.
    """
    if len(text) > LONGEST:
        raise NotAnImage(Mistake.TOO_LONG)
    # What an input method writes for ":" and "/", and what cannot be seen.
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE)
    if len(text) > LONGEST:
        # One character may stand for eighteen.
        raise NotAnImage(Mistake.TOO_LONG)
    first: NotAnImage | None = None
    for line in text.splitlines():
        try:
            return _read_line(line, address)
        except NotAnImage as mistake:
            if mistake.mistake is not Mistake.NOTHING:
                first = first or mistake
    raise first or NotAnImage(Mistake.NOTHING)


def _read_line(line: str, address: ExternalAddress) -> Pasted:
    # Spaces are one: before each of many, expressions would look for all that may follow them.
    line = _COMMENT.sub("", _PROMPT.sub("", " ".join(line.split())))
    form, name = _form_and_name(line)
    name = _bare(name)
    if not name:
        raise NotAnImage(Mistake.NOTHING)
    if form.startswith("FROM ") and name.lower() == "scratch":
        raise NotAnImage(Mistake.SCRATCH)
    if says_hugging_face(name):
        raise NotAnImage(Mistake.HUGGING_FACE)
    if form == OLLAMA_FORM and not address.is_own(name.partition("/")[0]):
        name = ollama_name(name)
    return replace(_read_name(name, address), form=form)


def _form_and_name(line: str) -> tuple[str, str]:
    """Part a line into the form of what is asked, and the word that names the image."""
    if found := _FROM.search(line):
        return "FROM {}" + (f" AS {found['stage']}" if found["stage"] else ""), found["name"]
    if found := _FIELD.search(line):
        return "image: {}", found["name"]
    if found := _FLAG.search(line):
        return "image: {}", found["name"]
    words = line.split()
    if words[:1] == ["sudo"]:
        words = words[1:]
    if len(words) > 1:
        tool = words[0].rpartition("/")[2].lower()
        if tool not in _TOOLS:
            raise NotAnImage(Mistake.NOT_A_NAME)
        # Where a flag that is not known here took the last word for its value, that is the image.
        last = "" if words[-1].lower() in _VERBS else words[-1]
        return _TOOLS[tool], next(_arguments(words[1:]), last)
    return _PULL, "".join(words)


def _arguments(words: list[str]) -> Iterator[str]:
    """Give the words of a command that are neither its verbs nor flags, nor belong to one."""
    rest = iter(words)
    verb = True
    for word in rest:
        if word.startswith("-"):
            if "=" not in word and not _SWITCH.fullmatch(word):
                next(rest, None)
        elif not (verb and word.lower() in _VERBS):
            verb = False
            yield word


def _bare(name: str) -> str:
    """Return the name in a word: without quotes, a transport, or the rest of a web address."""
    name = name.strip(_WRAPPING) if not name.startswith("[") else name.strip(_WRAPPING.replace("[", ""))
    bare = _TRANSPORT.sub("", name)
    if bare == name or not name.lower().startswith("http"):
        return bare.rstrip("/")
    page = image_of_page(bare)
    return page if page is not None else bare.partition("?")[0].partition("#")[0].rstrip("/")


def _read_name(text: str, address: ExternalAddress) -> Pasted:
    name, notes = ImageName.split(text), []
    if name.name != name.name.lower():
        name = replace(name, domain=name.domain and name.domain.lower(), path=name.path.lower())
        notes.append(Note.LOWERED)
    if name.digest is not None:
        # One that has both is refused by some clients, and the digest says which it is.
        notes += [Note.TAG_LEFT_OUT] if name.tag is not None else []
        name = replace(name, digest=name.digest.lower())
    try:
        image = Image(_repository(name, address), name.reference())
    except RegistryError as error:
        raise NotAnImage(_MISTAKES.get(error.code, Mistake.NOT_A_NAME)) from None
    return Pasted(image, _PULL, tuple(notes))


def _repository(name: ImageName, address: ExternalAddress) -> Repository:
    if looks_like_registry(name.name.partition("/")[0]) and (name.domain is None or not name.path):
        raise NotAnImage(Mistake.NO_REPOSITORY)
    if name.domain is None:
        # What Docker means, whatever is meant here where no registry is named.
        return DOCKER_HUB.repository(name.path)
    if address.is_own(name.domain):
        return route(address.names, name.domain, name.path).repository
    try:
        registry = Registry.parse(name.domain)
    except RegistryError:
        raise NotAnImage(Mistake.BAD_REGISTRY) from None
    return registry.repository(name.path)
