"""What clients ask while registries lie: of the liars, and of an honest registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.parts.lies import Goods

if TYPE_CHECKING:
    from random import Random

    from tests.parts.wire import WireAnswer

__all__ = ["CLOSED", "HONEST", "LIARS", "QUIET", "Question", "all_of", "following", "liar", "make_question", "quiet"]

HONEST = "honest.example.org"
# Honest, too, and only for who has its password.
CLOSED = "closed.example.org"
LIARS = 8
# Registries that ask to be left alone for a day; each is, for one kind of question.
QUIET = 12
_LEAVES_ALONE = 97
_NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks.

    Arguments:
        rest: of the path, after the repository.
        fields: of the header.
    """

    method: str
    registry: str
    repository: str
    rest: str
    fields: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What it asks for, by prefix."""
        return f"/v2/{self.registry}/{self.repository}/{self.rest}"

    @property
    def reference(self) -> str:
        """The tag or the digest that it asks for, if it asks for a manifest or a blob."""
        kind, _, reference = self.rest.partition("/")
        return reference if kind in ("manifests", "blobs") else ""

    @property
    def digest(self) -> str:
        """What it must be, if it is asked for by its digest."""
        return self.reference if self.reference.startswith("sha256:") else ""

    def __str__(self) -> str:
        return f"{self.method} {self.target} {' '.join(self.fields)}"


def liar(number: int) -> str:
    return f"liar-{number % LIARS}.example.org"


def quiet(number: int) -> str:
    return f"quiet-{number % QUIET}.example.org"


def all_of(registry: str, letter: str, number: int) -> list[Question]:
    """What there is in an honest repository."""
    goods, repository = Goods.of(letter, number), f"{letter}{number}/app"
    rests = [f"manifests/{reference}" for reference in goods.manifests] + [f"blobs/{digest}" for digest in goods.blobs]
    return [
        *(Question("GET", registry, repository, rest) for rest in rests),
        *(Question("HEAD", registry, repository, rest) for rest in rests),
        *(
            Question("GET", registry, repository, rest, ("Range: bytes=0-0",))
            for rest in rests
            if rest.startswith("blobs")
        ),
        Question("GET", registry, repository, "tags/list"),
        Question("GET", registry, repository, f"referrers/{goods.manifest}"),
    ]


def make_question(random: Random, number: int, goods: Goods) -> Question:
    secret = Goods.of("s", 0)
    rest = random.choice(
        (
            *("manifests/v1", "manifests/v1", "manifests/v1", "manifests/latest", "manifests/none"),
            *(f"manifests/{digest}" for digest in goods.manifests if ":" in digest),
            *(f"blobs/{digest}" for digest in (*goods.blobs, *goods.blobs, goods.layer, goods.layer, _NO_DIGEST)),
            *(f"blobs/{digest}" for digest in secret.blobs),
            f"manifests/{secret.manifest}",
            *("tags/list", "tags/list", "tags/list?n=5", "tags/list?last=v1&n=99999999999"),
            *(f"referrers/{goods.manifest}", f"referrers/{goods.manifest}?artifactType=a%2Fb"),
        )
    )
    ranges = ("Range: bytes=0-0", "Range: bytes=5-", "Range: bytes=-7", "Range: bytes=0-99999999", "Range: bytes=90-99")
    fields = (random.choice(ranges),) if rest.startswith("blobs") and random.random() < 0.3 else ()
    registry = quiet(number // _LEAVES_ALONE) if number % _LEAVES_ALONE == 0 else liar(number)
    return Question("HEAD" if random.random() < 0.25 else "GET", registry, f"n{number}/app", rest, fields)


def following(random: Random, asked: Question, answer: WireAnswer) -> list[Question]:
    """What a client asks next for whom ``answer`` is a manifest."""
    if not asked.rest.startswith("manifests/"):
        return []
    found = [f"manifests/{digest}" for digest in answer.all("docker-content-digest") if digest not in asked.rest]
    digests = re.findall(rb'"(sha256:[0-9a-f]{64})"', answer.body[:100_000])
    found += [
        f"{random.choice(('blobs', 'manifests'))}/{digest.decode()}"
        for digest in random.sample(digests, min(2, len(digests)))
    ]
    return [Question("GET", asked.registry, asked.repository, rest) for rest in found]
