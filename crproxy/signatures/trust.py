"""Whose signatures count. Parsed once, where the configuration is."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..oci.documents import NotJson, parse_json
from .keys import canonical

__all__ = ["Identity", "Trust"]

# Of what a configuration can name; each is tried for each signature.
_MOST = 32
_LONGEST_ROOT = 1024 * 1024
_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A person or a workflow, as Fulcio writes it into a certificate.

    Arguments:
        subject: e-mail address, or URI of a workflow, exactly.
        issuer: URL of the OpenID provider that has vouched for it, exactly.
    """

    subject: str
    issuer: str

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"


@dataclass(frozen=True)
class Trust:
    """Whose signatures count: any one of these is enough.

    Arguments:
        keys: public keys in PEM.
        identities: of certificates.
        trusted_root: the text of a ``trusted_root.json`` (sigstore's protobuf-specs), which says whose certificates and
            logs count; None is the public instance's, which is fetched.
    """

    keys: tuple[str, ...] = ()
    identities: tuple[Identity, ...] = ()
    trusted_root: str | None = None

    @classmethod
    def parse(
        cls, keys: Iterable[str] = (), identities: Iterable[Identity] = (), trusted_root: str | None = None
    ) -> Trust:
        """Return what these texts say.

        Raises:
            ValueError: what is wrong with them, and what to do.
        """
        parsed = tuple(sorted({canonical(key) for key in keys}))
        named = tuple(sorted({_checked(identity) for identity in identities}))
        if not parsed and not named:
            raise ValueError("nobody is trusted: name a public key, or an identity with its issuer")
        if len(parsed) + len(named) > _MOST:
            raise ValueError(f"more than {_MOST} keys and identities are named: make it several rules")
        if trusted_root is not None:
            _check_root(trusted_root, named)
        return cls(parsed, named, trusted_root)

    @functools.cached_property
    def fingerprint(self) -> str:
        """What results are kept by: the same for the same trust, whatever order it is written in."""
        said = [self.keys, [[one.subject, one.issuer] for one in self.identities], self.trusted_root]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        keys = f"{len(self.keys)} key{'s' * (len(self.keys) != 1)}" if self.keys else ""
        return " or ".join(filter(None, [keys, *map(str, self.identities)]))


def _checked(identity: Identity) -> Identity:
    if not identity.subject:
        raise ValueError("an identity has no subject: write the e-mail address, or the workflow's URI, that signs")
    if not identity.issuer:
        raise ValueError(
            f"the identity {identity.subject} has no issuer: without one, any OpenID provider could vouch for it; "
            "write its URL, such as https://token.actions.githubusercontent.com"
        )
    return identity


def _check_root(text: str, identities: tuple[Identity, ...]) -> None:
    if not identities:
        raise ValueError("a trusted root is for identities, and none is named: a key needs none")
    if len(text) > _LONGEST_ROOT:
        raise ValueError(f"a trusted root has at most {_LONGEST_ROOT} characters")
    try:
        document = parse_json(text.encode())
    except (NotJson, UnicodeError) as error:
        raise ValueError("the trusted root is no JSON: write what cosign trusted-root create makes") from error
    said = document.get("mediaType") if isinstance(document, dict) else None
    if not isinstance(said, str) or not said.startswith(_ROOT_TYPE):
        raise ValueError(f"the trusted root is something else: its mediaType begins with {_ROOT_TYPE}")
