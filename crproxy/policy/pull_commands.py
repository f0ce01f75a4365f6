"""What to type for an image at this proxy: by prefix, by alias, as a mirror.

Each name here leads back to the image by ``policy.routing``; a test asks it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..oci.errors import RegistryError
from ..oci.images import Image
from ..oci.names import DOCKER_HUB, Repository, looks_like_registry
from .external_address import ExternalAddress
from .pasted_text import OLLAMA_FORM

__all__ = ["PullCommand", "PullMethod", "PullName", "pull_command", "pull_names"]


class PullMethod(enum.Enum):
    """How a client asks."""

    PREFIX = "prefix"
    ALIAS = "alias"
    MIRROR = "mirror"


@dataclass(frozen=True, slots=True)
class PullName:
    """One way to ask for an image.

    Arguments:
        kind: which.
        host: this proxy's part of the name, with a slash behind it; empty for a mirror.
        rest: and what stands behind that.
    """

    kind: PullMethod
    host: str
    rest: str

    @property
    def name(self) -> str:
        """What stands in place of the image's own name."""
        return self.host + self.rest


@dataclass(frozen=True, slots=True)
class PullCommand:
    """A whole line to type, in three parts of which ``host`` is this proxy's."""

    kind: PullMethod
    before: str
    host: str
    after: str

    @property
    def text(self) -> str:
        """The line."""
        return self.before + self.host + self.after


def pull_names(image: Image, address: ExternalAddress) -> tuple[PullName, ...]:
    """Return all ways in which ``image`` can be asked for here; none where its registry has a port and no alias."""
    registry, path = image.repository.registry, image.short_path
    names = []
    if address.base is not None and _fits_in_a_name(image):
        names.append(PullName(PullMethod.PREFIX, f"{address.base}/", f"{registry}/{path}"))
    alias = address.alias(registry)
    if alias is not None:
        names.append(PullName(PullMethod.ALIAS, f"{alias}/", path))
    # At the base domain a mirror's first part would be taken for a registry if it looks like one.
    misread = alias is None and looks_like_registry(image.repository.path.partition("/")[0])
    if registry == DOCKER_HUB and address.mirror() is not None and not misread:
        names.append(PullName(PullMethod.MIRROR, "", str(image)))
    return tuple(names)


def pull_command(form: str, name: PullName, address: ExternalAddress) -> PullCommand | None:
    """Return the whole line: ``form``, as ``pasted_text`` gives it, with the name in it; None where there is none."""
    if name.kind is PullMethod.MIRROR and not form.startswith(_MIRRORED):
        return None
    if form.startswith(OLLAMA_FORM) and name.kind is not PullMethod.ALIAS:
        # HOST/NAMESPACE/MODEL: there is no room for a registry in between.
        return None
    before, _, after = form.partition("{}")
    if name.kind is not PullMethod.MIRROR and not address.secure:
        for tool, told in _IN_THE_CLEAR.items():
            before = before.replace(tool, told)
    return PullCommand(name.kind, before, name.host, name.rest + after)


def _fits_in_a_name(image: Image) -> bool:
    """Tell whether clients take the registry for a part of a repository's name: its grammar has no port."""
    try:
        Repository.parse(image.repository.registry, str(image.repository))
    except RegistryError:
        return False
    return True


# What a set-up of the machine counts for (setups.py); the others read none.
_MIRRORED = ("FROM ", "image: ", "docker ", "podman ", "buildah ", "skopeo ", "crictl ", "nerdctl ")

# These speak plain HTTP to nobody, some of them not even to localhost, unless they are told to.
_IN_THE_CLEAR = {
    "apptainer pull ": "apptainer pull --no-https ",
    "buildah pull ": "buildah pull --tls-verify=false ",
    "crane manifest ": "crane manifest --insecure ",
    "ctr images pull ": "ctr images pull --plain-http ",
    "helm pull ": "helm pull --plain-http ",
    "nerdctl pull ": "nerdctl pull --insecure-registry ",
    "ollama pull ": "ollama pull --insecure ",
    "oras pull ": "oras pull --plain-http ",
    "podman pull ": "podman pull --tls-verify=false ",
    "singularity pull ": "singularity pull --no-https ",
    "skopeo inspect ": "skopeo inspect --tls-verify=false ",
}
