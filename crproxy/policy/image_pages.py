"""Web pages about images: which image each of them is about.

Only the address of a page is read. Of what stands behind the name there, a tag counts where the page is about one.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, unquote

from ..oci.names import OLLAMA

__all__ = ["image_of_page"]

_LONGEST = 1000
_SCHEMES = ("https://", "http://")
# Of a page's tabs, at Microsoft and at NVIDIA.
_TABS = frozenset({"about", "tags", "layers", "overview", "security"})

# Takes the parts of a path, and returns a name; "" where there is none.
Reader = Callable[[list[str]], str]


def image_of_page(address: str) -> str | None:
    """Return the name of the image that the page at ``address`` is about; None where it is no such page.

    Arguments:
        address: a URL, with or without its scheme.

    The name is not checked: whoever wants an image has to parse it.
    """
    if len(address) > _LONGEST:
        return None
    for scheme in _SCHEMES:
        if address[: len(scheme)].lower() == scheme:
            address = address[len(scheme) :]
    place, _, query = address.partition("#")[0].partition("?")
    host, _, path = place.partition("/")
    reader = _READERS.get(host.lower().removeprefix("www."))
    if reader is None:
        return None
    name = reader([unquote(part) for part in path.split("/") if part])
    if not name:
        return None
    tag = _tag_of(query)
    return f"{name}:{tag}" if tag and ":" not in name.rpartition("/")[2] else name


def _tag_of(query: str) -> str:
    try:
        fields = parse_qs(query, max_num_fields=16)
    except ValueError:
        return ""
    # GitHub's pages and Quay's; ?tab=tags of others is none.
    return fields.get("tag", [""])[0]


def _hub(parts: list[str]) -> str:
    match parts:
        case ["_", name, *_]:
            return f"docker.io/library/{name}"
        case ["layers", owner, name, tag, *_]:
            return f"docker.io/{owner}/{name}:{tag}"
        case ["r" | "layers", owner, name, *_] | ["repository", "docker", owner, name, *_]:
            return f"docker.io/{owner}/{name}"
    return ""


def _quay(parts: list[str]) -> str:
    match parts:
        case ["repository", owner, name, *_]:
            return f"quay.io/{owner}/{name}"
    return ""


def _github(parts: list[str]) -> str:
    match parts:
        case [owner, _, "pkgs", "container", name, *_]:
            return f"ghcr.io/{owner}/{name}".lower()
        case ["orgs" | "users", owner, "packages", "container", "package", name, *_]:
            return f"ghcr.io/{owner}/{name}".lower()
        case ["orgs" | "users", owner, "packages", "container", name, *_]:
            return f"ghcr.io/{owner}/{name}".lower()
    return ""


def _gallery(parts: list[str]) -> str:
    return "/".join(["public.ecr.aws", *parts]) if len(parts) > 1 else ""


def _microsoft(parts: list[str]) -> str:
    # With the reader's language in front, or without.
    rest = parts if parts[:1] in (["artifact"], ["product"]) else parts[1:]
    match rest:
        case ["artifact", "mar", *name] | ["product", *name] if name:
            return "/".join(["mcr.microsoft.com", *_without_tab(name)])
    return ""


def _ngc(parts: list[str]) -> str:
    match parts:
        case ["orgs", owner, "teams", team, "containers", name, *_]:
            return f"nvcr.io/{owner}/{team}/{name}"
        case ["orgs", owner, "containers", name, *_]:
            return f"nvcr.io/{owner}/{name}"
        case ["catalog", "containers", *name] if name:
            # As it was written until 2021: nvidia:k8s:dcgm-exporter
            return "/".join(["nvcr.io", *_without_tab(name)]).replace(":", "/")
    return ""


def _google(parts: list[str]) -> str:
    match parts:
        case ["gcr", "images", project, place, *name] if name:
            region = "" if place.lower() == "global" else f"{place.lower()}."
            return "/".join([f"{region}gcr.io", project, *name])
        case ["artifacts", "docker", project, region, repository, name, *_]:
            return f"{region}-docker.pkg.dev/{project}/{repository}/{name}"
    return ""


def _ollama(parts: list[str]) -> str:
    match parts:
        case ["library", name, *_]:
            return f"{OLLAMA}/library/{name}"
        case [owner, name, *_]:
            return f"{OLLAMA}/{owner}/{name}"
    return ""


def _without_tab(parts: list[str]) -> list[str]:
    return parts[:-1] if len(parts) > 1 and parts[-1] in _TABS else parts


_READERS: dict[str, Reader] = {
    "hub.docker.com": _hub,
    "quay.io": _quay,
    "github.com": _github,
    "gallery.ecr.aws": _gallery,
    "mcr.microsoft.com": _microsoft,
    "catalog.ngc.nvidia.com": _ngc,
    "ngc.nvidia.com": _ngc,
    "console.cloud.google.com": _google,
    "ollama.com": _ollama,
    "ollama.ai": _ollama,
}
