"""Fleets without Kubernetes: where their files are, and what of them crproxy reads."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["COMPOSE", "SYSTEMD", "own", "without_fleet"]

_DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE = _DEPLOY / "compose-fleet"
SYSTEMD = _DEPLOY / "systemd-fleet"


def own(text: str, *names: str | None) -> str:
    """Return ``text`` with a word in place of what is one node's own."""
    for name in names:
        assert name is not None
        text = text.replace(name, "OWN")
    return text


def without_fleet(text: str, *more: str) -> str:
    """Return a configuration without [storage], [fleet] and other tables: they want other machines."""
    names = "|".join(("storage", "fleet", *more))
    return re.sub(rf"^\[(?:{names})\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
