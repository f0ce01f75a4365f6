"""A Valkey that a test answers for, question by question, by a clock that it drives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from crproxy.fleet.valkey import Away, Script, Valkey

__all__ = ["FakeValkey"]


@dataclass(slots=True, eq=False)
class Question:
    """What was asked: a command's words, or a script with its keys and arguments."""

    words: tuple[Any, ...]
    answered: Deferred[Any]

    def answer(self, value: Any) -> None:
        self.answered.callback(value)

    def fail(self) -> None:
        self.answered.errback(Failure(Away("away")))


class FakeValkey:
    """What was asked and is not answered yet is in ``questions``, the oldest first."""

    def __init__(self) -> None:
        self.is_up = True
        self.ahead = 0.0
        self.questions: list[Question] = []
        self._on_up: list[Any] = []

    @property
    def valkey(self) -> Valkey:
        return cast("Valkey", self)

    def key(self, *parts: str) -> str:
        return ":".join(("fake", *parts))

    def next(self) -> Question:
        """The oldest question."""
        return self.questions.pop(0)

    async def ask(self, *words: Any) -> Any:
        if not self.is_up:
            raise Away("away")
        question = Question(words, Deferred())
        self.questions.append(question)
        return await question.answered

    async def run(self, script: Script, keys: Any, arguments: Any = ()) -> Any:
        return await self.ask(script, *keys, *arguments)

    def on_up(self, call: Any) -> None:
        self._on_up.append(call)

    def come_back(self) -> None:
        self.is_up = True
        for call in self._on_up:
            call()
