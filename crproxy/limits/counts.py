"""How many of something there are, by whose they are. Who has none is not remembered."""

from __future__ import annotations

__all__ = ["Counts"]


class Counts:
    """Numbers by name; those that are 0 take no room."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def of(self, name: str) -> int:
        """Return how many there are."""
        return self._counts.get(name, 0)

    def add(self, name: str) -> None:
        """There is one more."""
        self._counts[name] = self.of(name) + 1

    def remove(self, name: str) -> None:
        """There is one less."""
        left = self.of(name) - 1
        if left > 0:
            self._counts[name] = left
        else:
            self._counts.pop(name, None)
