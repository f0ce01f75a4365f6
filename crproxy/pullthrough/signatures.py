"""Whether an image is signed by somebody who is trusted: signatures are found beside it, verified, and remembered.

Which images must be, and by whom, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import references
from ..policy.freshness import Lifetimes
from ..sharing.bounding import drop_oldest
from ..signatures import NotSigned, Trust, bundles, keyless, simple_signing
from ..signatures.carrying import carries_only
from ..signatures.keyless import TrustedRootUnavailable
from ..signatures.simple_signing import MOST_SIGNATURES, PAYLOAD_LIMIT
from ..store.entries import View
from ..store.filling import Threads
from ..upstream.single_flight import SingleFlight
from .artifacts import Artifacts
from .verdicts import Question, Verdicts

__all__ = ["Signatures"]

# Seconds to wait for the public instance's trusted root.
_RETRY_AFTER = 60
# Different reasons that are told of at the most.
_REASONS = 3


class Signatures:
    """Checks images.

    Arguments:
        artifacts: where signatures are found.
        threads: verify them.
        verdicts: keep that images are signed.
        lifetimes: for how long it counts that one is not: as long as a tag, for its signature may still come.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        threads: Threads,
        verdicts: Verdicts,
        lifetimes: Lifetimes,
        now: Callable[[], float],
    ) -> None:
        self._artifacts = artifacts
        self._threads = threads
        self._verdicts = verdicts
        self._lifetimes = lifetimes
        self._now = now
        # Why, and until when. What one client's credentials show is no other's to know.
        self._refused: dict[tuple[View, Question], tuple[str, float]] = {}
        self._searches: SingleFlight[tuple[View, Question], None] = SingleFlight()
        # The same of the public instance's trusted root.
        self._no_root: tuple[str, float] = ("", 0.0)
        self._fetches: SingleFlight[None, None] = SingleFlight()

    async def check(self, view: View, digest: Digest, trust: Trust) -> None:
        """Return where the manifest ``digest`` is signed by one who is trusted.

        Raises:
            RegistryError: DENIED, where it is not; else why that cannot be known now.
        """
        question = Question(view.repository, digest, trust.fingerprint)
        if self._verdicts.signed(question):
            return
        why, until = self._refused.get((view, question), ("", 0.0))
        if self._now() < until:
            raise RegistryError(ErrorCode.DENIED, why)
        await self._searches.run((view, question), lambda: self._search(view, question, trust))

    def children(self, view: View, digest: Digest, content: bytes, trust: Trust) -> None:
        """Have what an index names count as signed with it, in the same repository: signatures are made of indexes.

        Clients ask by digest for the image that is for them. Does nothing where the index itself is not known to be
        signed, and nothing for what is no index. Its time grows with ``content``.

        Arguments:
            digest: of the index.
            content: of it.
        """
        if not self._verdicts.signed(Question(view.repository, digest, trust.fingerprint)):
            return
        children = [one.digest for one in references(content) if one.is_manifest]
        if children and digest.names(content):
            for child in children:
                self._verdicts.note(Question(view.repository, child, trust.fingerprint))

    async def _prepare(self) -> None:
        """Return when the public instance's trusted root is here: one thread waits for it, and not again at once.

        Raises:
            TrustedRootUnavailable: it cannot be fetched.
        """
        why, until = self._no_root
        if self._now() < until:
            raise TrustedRootUnavailable(why)
        await self._fetches.run(None, self._fetch_root)

    async def _fetch_root(self) -> None:
        try:
            await self._threads(keyless.prepare, self._now())
        except TrustedRootUnavailable as error:
            self._no_root = (str(error), self._now() + _RETRY_AFTER)
            raise

    async def _search(self, view: View, question: Question, trust: Trust) -> None:
        search = _Search(self._artifacts, self._threads, view, question.digest, trust, self._now(), self._prepare)
        if await search.is_signed():
            self._refused.pop((view, question), None)
            self._verdicts.note(question)
            for carrier in search.carriers:
                # Clients that verify as well ask for it, too.
                self._refused.pop((view, replace(question, digest=carrier)), None)
                self._verdicts.note(replace(question, digest=carrier))
            return
        if search.error is not None:
            raise search.error
        name = view.repository.named(question.digest)
        why = (
            f"{name} is not signed as this proxy asks, by {trust}: {search.why}. Whoever makes the image signs it with "
            "cosign sign in the same repository; whoever runs this proxy says whose signatures count"
        )
        self._refused[view, question] = (why, self._now() + self._lifetimes.tag_ttl)
        drop_oldest(self._refused)
        raise RegistryError(ErrorCode.DENIED, why)


class _Search:
    """One search for a signature of one image that holds.

    Arguments:
        prepare: has the public instance's trusted root at hand; raises TrustedRootUnavailable.

    ``error`` is the first that kept one from being read: then it is not known that there is none. ``carriers`` are the
    manifests that the signature is in, and nothing else.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        threads: Threads,
        view: View,
        image: Digest,
        trust: Trust,
        now: float,
        prepare: Callable[[], Coroutine[Deferred[Any], Any, None]],
    ) -> None:
        self._prepare = prepare
        self.error: RegistryError | None = None
        self.carriers: list[Digest] = []
        self._artifacts = artifacts
        self._threads = threads
        self._view = view
        self._image = image
        self._trust = trust
        self._now = now
        self._reasons: dict[str, None] = {}

    @property
    def why(self) -> str:
        """Why none holds."""
        return "; ".join(list(self._reasons)[:_REASONS]) or "there is no signature of it"

    async def is_signed(self) -> bool:
        """Tell whether there is one."""
        return await self._attempt(self._by_tag()) or await self._attempt(self._by_referrers())

    async def _attempt(self, finding: Coroutine[Deferred[Any], Any, bool]) -> bool:
        """Return what ``finding`` does; False where it fails, and remember why."""
        try:
            return await finding
        except TrustedRootUnavailable as error:
            why = f"the signature of {self._name} cannot be verified now: {error}"
            self._fail(RegistryError(ErrorCode.UNAVAILABLE, why, retry_after=_RETRY_AFTER))
        except NotSigned as error:
            self._reasons[str(error)] = None
        except RegistryError as error:
            if error.status != 404:
                self._fail(error.with_hint(f"without that it cannot be known whether {self._name} is signed"))
        return False

    def _fail(self, error: RegistryError) -> None:
        self.error = self.error or error

    @property
    def _name(self) -> str:
        return self._view.repository.named(self._image)

    async def _by_tag(self) -> bool:
        manifest = await self._artifacts.manifest(self._view, simple_signing.signature_tag(self._image))
        for signature in simple_signing.signatures_in(manifest):
            if await self._attempt(self._holds(signature)):
                self._note(manifest, signature.payload)
                return True
        return False

    async def _holds(self, signature: simple_signing.Signature) -> bool:
        payload = await self._artifacts.blob(self._view, signature.payload, PAYLOAD_LIMIT)
        await self._threads(simple_signing.check, signature, payload, self._image, self._trust)
        return True

    async def _by_referrers(self) -> bool:
        listed: dict[Digest, None] = {}
        for page in await self._artifacts.referrers(self._view, self._image):
            listed |= dict.fromkeys(bundles.bundles_listed(page))
        for manifest in list(listed)[:MOST_SIGNATURES]:
            if await self._attempt(self._bundle_holds(manifest)):
                return True
        return False

    async def _bundle_holds(self, digest: Digest) -> bool:
        manifest = await self._artifacts.manifest(self._view, digest)
        bundle = bundles.bundle_in(manifest)
        content = await self._artifacts.blob(self._view, bundle, PAYLOAD_LIMIT)
        if self._trust.identities and self._trust.trusted_root is None:
            await self._prepare()
        await self._threads(bundles.check, content, self._image, self._trust, self._keyless)
        self._note(manifest, bundle)
        return True

    def _note(self, manifest: bytes, verified: Digest) -> None:
        if carries_only(manifest, verified):
            self.carriers.append(Digest.of(manifest))

    def _keyless(self, content: bytes, image: Digest, trust: Trust) -> None:
        keyless.check(content, image, trust, self._now)
