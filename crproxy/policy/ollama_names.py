"""Names of models as Ollama writes them, put as names of images: with the registry, and the namespace.

"[host/][namespace/]model[:tag]", where a host has two more parts behind it (Ollama, types/model/name.go): it stands for
``registry.ollama.ai`` where there is none, and a namespace for ``library``.
"""

from __future__ import annotations

from ..oci.errors import RegistryError
from ..oci.names import OLLAMA, Registry, looks_like_registry

__all__ = ["ollama_name", "says_hugging_face"]

# Its repositories' names have capitals, which those of registries have not.
_HUGGING_FACE = frozenset({"hf.co", "huggingface.co"})


def ollama_name(text: str) -> str:
    """Return the image's name for a model's; what is none comes back as it is, with the registry in front."""
    first, _, rest = text.partition("/")
    if "/" in rest or _is_ollama(first):
        return text
    return f"{OLLAMA}/{text}"


def says_hugging_face(name: str) -> bool:
    """Tell whether a name is of Hugging Face, which Ollama pulls from by a way of its own."""
    return name.partition("/")[0].lower() in _HUGGING_FACE


def _is_ollama(part: str) -> bool:
    # To Ollama this would be a namespace, but nobody has meant that.
    try:
        return looks_like_registry(part) and Registry.parse(part) == OLLAMA
    except RegistryError:
        return False
