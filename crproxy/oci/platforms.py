"""Platforms: which of an index's images is for which machine.

OCI image specification, "Image Index Property Descriptions" (platform), spelt OS/ARCHITECTURE[/VARIANT] as clients do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Platform"]

_PART = re.compile(r"[a-z0-9_.]+")
# What indexes have there is shown to people; any text could be there, half of a pair of surrogates among it.
_NAMED = re.compile(r"[ -~]{0,128}")
# "aarch64" and its like are what uname says; clients take them for what the specification names.
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on. An empty variant, as a wish, is any."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform that ``text`` such as ``linux/arm64`` or ``linux/arm/v7`` names. Raises ValueError."""
        parts = text.strip().lower().split("/")
        parts = [_ARCHITECTURES.get(part, part) for part in parts]
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"{text!r} is no platform: write OS/ARCHITECTURE, such as linux/amd64 or linux/arm/v7")
        return cls(*parts)

    @classmethod
    def of(cls, item: Any) -> Platform | None:
        """Return the platform that a descriptor in an index has; None where it has none."""
        platform = item.get("platform") if isinstance(item, dict) else None
        if not isinstance(platform, dict):
            return None
        os, architecture, variant = (platform.get(key, "") for key in ("os", "architecture", "variant"))
        if not all(isinstance(part, str) and _NAMED.fullmatch(part) for part in (os, architecture, variant)):
            return None
        return cls(os, architecture, variant)

    def covers(self, other: Platform) -> bool:
        """Tell whether this, as a wish, is met by ``other``."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and self.variant in ("", other.variant or _usual_variant(other.architecture))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _usual_variant(architecture: str) -> str:
    """Return the variant of what names none ("Platform Variants")."""
    return {"arm64": "v8", "arm": "v7"}.get(architecture, "")
