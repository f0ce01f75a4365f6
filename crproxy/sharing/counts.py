"""How many of something there are, by whose they are. Who has none is not remembered."""

from __future__ import annotations

__all__ = ["Counts"]


class Counts:
    """Numbers by name, of one worker alone (crproxy.sharing.Count)."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def of(self, name: str) -> int:
        """Return how many there are (Count)."""
        return self._counts.get(name, 0)

    def add(self, name: str, number: int = 1) -> int:
        """There are so many more; return how many there are now (Count)."""
        total = self._counts[name] = self.of(name) + number
        return total

    def remove(self, name: str, number: int = 1) -> None:
        """There are so many less (Count)."""
        left = self.of(name) - number
        if left > 0:
            self._counts[name] = left
        else:
            self._counts.pop(name, None)
