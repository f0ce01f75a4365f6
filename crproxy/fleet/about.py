"""What a node says of itself to another one, and to the operator."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["About", "read_about"]


@dataclass(frozen=True, slots=True)
class About:
    """A node.

    Arguments:
        name: as the configuration has it.
        version: of crproxy.
        flights: how many transfers from upstream are under way.
        stored: bytes that are kept on its disk.
    """

    name: str
    version: str
    flights: int
    stored: int

    def as_json(self) -> bytes:
        """Return it as it is sent."""
        return json.dumps(asdict(self)).encode("ascii")


def read_about(sent: bytes) -> About:
    """Return what a node has sent. Fields of a later version are passed over.

    Raises:
        ValueError: it is something else.
    """
    try:
        said: Any = json.loads(sent)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    texts = [_field(said, name, str) for name in ("name", "version")]
    numbers = [_field(said, name, int) for name in ("flights", "stored")]
    return About(*texts, *numbers)


def _field(said: dict[str, Any], name: str, kind: type) -> Any:
    value = said.get(name)
    # To Python, true is a number.
    if type(value) is not kind:
        raise ValueError(f"its {name} is not there")
    return value
