"""Bundles with a certificate of Fulcio's, verified by sigstore's own library, which is there if somebody installed it.

What it checks: the certificate against the trusted root at the time that the log or a timestamp authority vouches for,
its entry in a certificate transparency log, the identity, the entry in the signatures' log with its proof and
checkpoint, the signature, and that all of these belong together. No network is used for that. Only where no trusted
root is given, the public instance's is fetched (TUF, from ``tuf-repo-cdn.sigstore.dev``, by the library's own HTTP
client, into the user's data and cache directories); so this blocks, and belongs into a thread.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.x509 import Certificate, ExtensionNotFound, SubjectAlternativeName

from ..oci.digests import Digest
from .documents import item, mapping
from .refusal import NotSigned
from .simple_signing import PAYLOAD_LIMIT
from .statements import check_statement
from .trust import Trust

if TYPE_CHECKING:
    from sigstore.models import Bundle
    from sigstore.verify import Verifier
    from sigstore.verify.policy import VerificationPolicy

__all__ = ["TrustedRootUnavailable", "check", "is_installed", "prepare"]

# Seconds for which the public instance's trusted root counts: it changes a few times a year, and is announced before.
_DAY = 24 * 3600
# Characters of what somebody wrote that are repeated.
_LONGEST_SHOWN = 200


class TrustedRootUnavailable(NotSigned):
    """The public instance's trusted root cannot be fetched now, so that nothing is known of the signature."""


def is_installed() -> bool:
    """Tell whether the library is there."""
    return importlib.util.find_spec("sigstore") is not None


def prepare(now: float) -> None:
    """Have the public instance's trusted root at hand, which may take as long as a network lets one wait.

    Arguments:
        now: seconds since the epoch.

    Raises:
        TrustedRootUnavailable: it cannot be fetched.
    """
    if is_installed():
        _verifier(None, now)


def check(content: bytes, image: Digest, trust: Trust, now: float) -> None:
    """Return where the bundle in ``content`` shows that one of the trusted identities has signed ``image``.

    Arguments:
        now: seconds since the epoch.

    Raises:
        TrustedRootUnavailable: it cannot be known now.
        NotSigned: it does not.
    """
    if not is_installed():
        raise NotSigned("it is signed with a certificate, which takes pip install 'crproxy[sigstore]' to verify")
    # The library's parser takes the last of two keys that are the same.
    document = mapping(content, PAYLOAD_LIMIT, "a bundle that refers to it")
    verifier = _verifier(trust.trusted_root, now)
    try:
        _check(verifier, content, item(document, "dsseEnvelope") is not None, image, trust)
    except NotSigned:
        raise
    except Exception as error:
        # What strangers wrote makes it raise more than what it says that it does: ValueError, KeyError, ...
        raise NotSigned(f"its signature by a certificate does not hold: {_words(error)}") from error


def _check(verifier: Verifier, content: bytes, has_envelope: bool, image: Digest, trust: Trust) -> None:
    from sigstore.models import Bundle

    bundle = Bundle.from_json(content)
    policy = _AnyIdentity(trust)
    if has_envelope:
        kind, payload = verifier.verify_dsse(bundle, policy)
        check_statement(payload, kind, image)
    else:
        _check_message(verifier, bundle, policy, image)


def _check_message(verifier: Verifier, bundle: Bundle, policy: VerificationPolicy, image: Digest) -> None:
    from sigstore.hashes import Hashed
    from sigstore_models.common.v1 import HashAlgorithm

    if image.algorithm != "sha256":
        raise NotSigned("a signature of its manifest is by SHA-256, and its digest is not")
    hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(image.hex))
    verifier.verify_artifact(hashed, bundle, policy)


class _AnyIdentity:
    """Any of those that are trusted (VerificationPolicy)."""

    def __init__(self, trust: Trust) -> None:
        self._identities = trust.identities

    def verify(self, cert: Certificate) -> None:
        """Return where the certificate is one of theirs. Raises the library's VerificationError."""
        from sigstore.errors import VerificationError
        from sigstore.verify.policy import Identity

        for one in self._identities:
            with contextlib.suppress(VerificationError, ExtensionNotFound):
                Identity(identity=one.subject, issuer=one.issuer).verify(cert)
                return
        raise VerificationError(f"it is by somebody else, {_subjects(cert)}")


def _subjects(certificate: Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    return ascii(", ".join(str(name.value) for name in names))[:_LONGEST_SHOWN]


def _verifier(trusted_root: str | None, now: float) -> Verifier:
    try:
        return _public(int(now // _DAY)) if trusted_root is None else _of(trusted_root)
    except Exception as error:
        if trusted_root is None:
            raise TrustedRootUnavailable(
                f"the public instance's trusted root cannot be fetched: {_words(error)}; a file of it needs no network"
            ) from error
        raise NotSigned(f"the trusted root that this proxy is given cannot be used: {_words(error)}") from error


@functools.lru_cache(8)
def _of(trusted_root: str) -> Verifier:
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier

    # The library reads it from nowhere else.
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "trusted_root.json"
        file.write_text(trusted_root, "utf-8")
        return Verifier(trusted_root=TrustedRoot.from_file(str(file)))


@functools.lru_cache(1)
def _public(day: int) -> Verifier:
    from sigstore.verify import Verifier

    return Verifier.production()


def _words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST_SHOWN]
