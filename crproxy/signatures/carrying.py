"""Manifests that carry a signature, and nothing besides: they may be had by whoever may have the image."""

from __future__ import annotations

from typing import Any

from ..oci.digests import Digest
from ..oci.manifests import MANIFEST_LIMIT
from .documents import items, mapping, text
from .refusal import NotSigned

__all__ = ["carries_only"]

# What cosign writes, and no other keys: programs in Go take "Layers", or whatever else folds to it, for "layers", and
# the last of them counts.
_KEYS = frozenset({"schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"})
_LAYER_KEYS = frozenset({"mediaType", "size", "digest", "annotations"})


def carries_only(manifest: bytes, verified: Digest) -> bool:
    """Tell whether all that a manifest has, besides its configuration, is what was ``verified``.

    What else it says of itself counts for nothing: the types of layers do not keep Docker from unpacking them. An index
    carries nothing.
    """
    try:
        document = mapping(manifest, MANIFEST_LIMIT, "the manifest of a signature")
    except NotSigned:
        return False
    layers = items(document, "layers")
    return bool(layers) and document.keys() <= _KEYS and all(_is(layer, verified) for layer in layers)


def _is(layer: Any, verified: Digest) -> bool:
    return isinstance(layer, dict) and layer.keys() <= _LAYER_KEYS and text(layer, "digest") == str(verified)
