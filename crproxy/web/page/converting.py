"""Pasted text in, what to type out: as the page shows it, and as its script fetches it. One truth for both."""

from __future__ import annotations

from dataclasses import dataclass

from ...oci.errors import RegistryError
from ...policy.external_address import ExternalAddress
from ...policy.pasted_text import OLLAMA_FORM, Mistake, NotAnImage, read_pasted
from ...policy.pull_commands import PullCommand, pull_command, pull_names
from ...policy.serving import Serves, is_inside

__all__ = ["Conversion", "convert"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of pasted text. Texts are named by their keys.

    Arguments:
        pasted: the text.
        image: which one is meant; empty where none is.
        lines: what to type.
        notes: what was done to its name.
        mistake: why there are no lines; empty where there are, and where nothing was pasted.
    """

    pasted: str
    image: str = ""
    lines: tuple[PullCommand, ...] = ()
    notes: tuple[str, ...] = ()
    mistake: str = ""


def convert(text: str, address: ExternalAddress, serves: Serves) -> Conversion:
    """Return what to type for what ``text`` means.

    Arguments:
        serves: what this proxy serves.
    """
    try:
        pasted = read_pasted(text, address)
    except NotAnImage as error:
        nothing = error.mistake is Mistake.NOTHING
        return Conversion(text, mistake="" if nothing else f"mistake_{error.mistake.name.lower()}")
    image, registry = str(pasted.image), pasted.image.repository.registry
    names = pull_names(pasted.image, address)
    # What has no way here may get one: an alias, of which the configuration says where it leads.
    if not serves.may_ask(registry) and (names or is_inside(registry)):
        return Conversion(text, image, mistake="mistake_inside")
    try:
        serves.repository(pasted.image.repository)
    except RegistryError:
        return Conversion(text, image, mistake="mistake_refused")
    commands = (pull_command(pasted.form, name, address) for name in names)
    lines = tuple(line for line in commands if line is not None)
    notes = tuple(f"note_{note.name.lower()}" for note in pasted.notes)
    no_way = "mistake_no_host" if pasted.form == OLLAMA_FORM else "mistake_no_way"
    return Conversion(text, image, lines, notes, "" if lines else no_way)
