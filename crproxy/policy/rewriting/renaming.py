"""A name as it stands in a file, and what stands there for this proxy: in one of its forms, or why it stays."""

from __future__ import annotations

from dataclasses import dataclass

from ...oci.errors import ErrorCode, RegistryError
from ...oci.images import Image, ImageName
from ...oci.names import DOCKER_HUB, Registry, Repository, looks_like_registry
from ..external_address import ExternalAddress
from ..image_pages import image_of_page
from ..pull_commands import PullMethod, pull_names
from ..serving import Serves, is_inside
from .places import Reason, Role
from .variables import LONGEST, Variable, variables_of

__all__ = ["Renaming"]

# In front of a name where a client may be told how to get it.
_TRANSPORT = "docker://"
# Defaults inside of defaults.
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class _Parts:
    """A name with its variables.

    Arguments:
        text: as it is written.
        name: of its characters, those in front of the tag and the digest.
        variables: in it.
    """

    text: str
    name: int
    variables: tuple[Variable, ...]

    @classmethod
    def of(cls, text: str) -> _Parts:
        variables = tuple(variables_of(text))
        masked = _masked(text, variables)
        name = masked.partition("@")[0]
        colon = name.rfind(":")
        tagged = colon > name.rfind("/")
        return cls(text, colon if tagged else len(name), variables)

    def plain(self, start: int, end: int) -> str:
        """Return a part of it, with a letter for each variable: what its grammar can be seen by."""
        parts, position = [], start
        for variable in self.variables:
            if start <= variable.start and variable.end <= end:
                parts += [self.text[position : variable.start], "x"]
                position = variable.end
        return "".join([*parts, self.text[position:end]])

    def has_variable(self, start: int, end: int) -> bool:
        """Tell whether there is one in a part of it."""
        return any(start <= variable.start < end for variable in self.variables)

    def only(self, start: int, end: int) -> Variable | None:
        """Return the variable that is all of a part of it."""
        return next((one for one in self.variables if (one.start, one.end) == (start, end)), None)

    @property
    def first(self) -> int:
        """The characters in front of the first slash; those of the name, where there is none."""
        slash = _masked(self.text, self.variables).find("/", 0, self.name)
        return self.name if slash < 0 else slash


@dataclass(frozen=True, slots=True)
class Renaming:
    """How names are rewritten.

    Arguments:
        address: this proxy, as clients write it.
        serves: what it serves.
        form: which of the ways to ask is written, where there are several.
    """

    address: ExternalAddress
    serves: Serves
    form: PullMethod = PullMethod.PREFIX

    def renamed(self, text: str, role: Role = Role.NAME) -> str | Reason:
        """Return what stands in place of ``text``, or why that stays."""
        return self._renamed(text, role, 0)

    def looks_like_image(self, text: str) -> bool:
        """Tell whether ``text`` is written like nothing but the name of an image: with a registry, tag or digest."""
        if len(text) > LONGEST:
            return False
        parts = _Parts.of(text)
        plain = parts.plain(0, len(text))
        if parts.only(0, parts.name) or "://" in plain:
            return False
        name = ImageName.split(plain)
        try:
            name.reference()
        except RegistryError:
            return False
        return name.domain is not None or (name.tag or name.digest) is not None

    def _renamed(self, text: str, role: Role, depth: int) -> str | Reason:
        if role is Role.PAGE:
            page = image_of_page(text)
            return Reason.NOT_A_NAME if page is None else self._renamed(page, Role.NAME, depth)
        if text.startswith(_TRANSPORT):
            rest = self._renamed(text[len(_TRANSPORT) :], role, depth)
            return rest if isinstance(rest, Reason) else _TRANSPORT + rest
        if len(text) > LONGEST or not text:
            return Reason.NOT_A_NAME
        parts = _Parts.of(text)
        plain = parts.plain(0, len(text))
        if plain.split() != [plain]:
            return Reason.NOT_A_NAME
        by_variable = self._by_variable(parts, role, depth)
        if by_variable is not None:
            return by_variable
        try:
            return self._registry(parts) if role is Role.REGISTRY else self._name(parts)
        except RegistryError:
            return Reason.NOT_A_NAME

    def _by_variable(self, parts: _Parts, role: Role, depth: int) -> str | Reason | None:
        """Return what becomes of a name in which a variable stands for the beginning; None where none does."""
        end, first = parts.name, parts.first
        if not parts.has_variable(0, first):
            return None
        whole, leading = parts.only(0, end), parts.only(0, first)
        variable = whole or leading
        if variable is None or variable.default is None or depth == _DEEPEST:
            return Reason.VARIABLE if parts.text[parts.variables[0].start] == "$" else Reason.TEMPLATE
        start, stop = variable.default
        inner = role if whole is not None else Role.REGISTRY
        default = self._renamed(parts.text[start:stop], inner, depth + 1) if stop > start else Reason.VARIABLE
        if isinstance(default, Reason):
            return default if default is Reason.OURS or whole is not None else Reason.VARIABLE
        return parts.text[:start] + default + parts.text[stop:]

    def _name(self, parts: _Parts) -> str | Reason:
        text, end, first = parts.text, parts.name, parts.first
        suffix = ImageName.split("x" + parts.plain(end, len(text)))
        suffix.reference()
        head = text[:first]
        if looks_like_registry(head):
            if first == end:
                return Reason.NOT_A_NAME
            if self.address.is_own(head):
                return Reason.OURS
            registry, path = Registry.parse(head), first + 1
        else:
            if first == end and text[:end] == "scratch":
                return Reason.SCRATCH
            # What Docker means, whatever is meant here where no registry is named.
            registry, path = DOCKER_HUB, 0
        repository = registry.repository(parts.plain(path, end))
        lead = self._lead(repository)
        why = self._refused(registry, None if parts.has_variable(path, end) else repository, lead)
        return why or f"{lead}{text[path:]}"

    def _registry(self, parts: _Parts) -> str | Reason:
        text, first = parts.text, parts.first
        # A port's colon is no tag's here.
        if ":" not in text.partition("/")[0] and parts.name != len(text):
            return Reason.NOT_A_NAME
        head, slash, rest = text.partition("/")
        if not looks_like_registry(head) or first == 0:
            return Reason.NOT_A_NAME
        if self.address.is_own(head):
            return Reason.OURS
        registry = Registry.parse(head)
        lead = self._lead(registry.repository("x/x"))
        why = self._refused(registry, None, lead)
        return why or f"{(lead or '').removesuffix('/')}{slash}{rest}"

    def _refused(self, registry: Registry, repository: Repository | None, lead: str | None) -> Reason | None:
        """Return why a name stays that would begin with ``lead``; None where it does not."""
        may_ask = self.serves.may_ask(registry)
        if not may_ask and is_inside(registry):
            return Reason.INSIDE
        if lead is None:
            return Reason.NO_WAY
        if not may_ask:
            return Reason.INSIDE
        try:
            if repository is None:
                self.serves.registry(registry)
            else:
                self.serves.repository(repository)
        except RegistryError as error:
            return Reason.REFUSED if error.code is ErrorCode.DENIED else Reason.NOT_A_NAME
        return None

    def _lead(self, repository: Repository) -> str | None:
        """Return what stands here in front of a path in the repository's registry; None where it cannot be asked."""
        image = Image(repository)
        names = {name.kind: name.name for name in pull_names(image, self.address)}
        name = names.get(self.form) or names.get(PullMethod.PREFIX) or names.get(PullMethod.ALIAS)
        return None if name is None else name.removesuffix(image.short_path)


def _masked(text: str, variables: tuple[Variable, ...]) -> str:
    """Return ``text`` with each character of a variable's blotted out: none of them parts a name."""
    parts, position = [], 0
    for variable in variables:
        parts += [text[position : variable.start], "\0" * (variable.end - variable.start)]
        position = variable.end
    return "".join([*parts, text[position:]])
