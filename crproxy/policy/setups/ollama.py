"""Ollama: no file, but names with this proxy's host in front.

Its names are HOST/NAMESPACE/MODEL:TAG, with no room for a registry between them (its types/model/name.go), so only a
host that stands for its registry will do. Where the host is written, so is the namespace: ``library`` for its own
models.
"""

from __future__ import annotations

from ...oci.names import OLLAMA
from .target import Setup, SetupError, Target

__all__ = ["ollama"]


def ollama(target: Target) -> Setup:
    """Return how Ollama pulls models through ``target``.

    Raises:
        SetupError: nothing there stands for Ollama's registry, or it asks for a login, of which Ollama knows none.
    """
    if target.login is not None:
        raise SetupError(
            "Ollama sends no password: for it, ask for no login, or be its HTTP proxy: crproxy setup ollama --proxy"
        )
    if target.registries and OLLAMA not in target.registries:
        raise SetupError(f"Ollama pulls models of {OLLAMA}: leave --registry")
    option = "" if target.secure else " --insecure"
    about = (
        "Ollama pulls models by names that begin with the proxy's host for its registry, and then have the namespace: "
        "library for what has none. A model keeps that name; ollama cp gives it the short one, too."
    )
    host = _host(target)
    then = (
        f"ollama pull{option} {host}/library/llama3",
        f"ollama pull{option} {host}/library/llama3:8b",
        f"ollama pull{option} {host}/USER/MODEL",
        f"ollama cp {host}/library/llama3 llama3",
    )
    return Setup(about, (), then)


def _host(target: Target) -> str:
    if OLLAMA in target.aliases:
        return target.aliases[OLLAMA]
    if target.default_registry == OLLAMA:
        return target.host
    raise SetupError(
        f"Ollama's names have no room for a registry behind the proxy's host: give {OLLAMA} an alias "
        f"(--alias ollama={OLLAMA}), or let it be the default (--default-registry {OLLAMA}); or be its HTTP proxy: "
        "crproxy setup ollama --proxy"
    )
