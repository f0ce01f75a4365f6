"""The documents that a CA sends, read strictly into types: directory, account, order, authorization, challenge.

RFC 8555, 7.1. What the protocol requires and is missing, or is of another type, is Malformed; what it does not know is
ignored. Pure; knows no requests, and not which of the URLs may be asked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, TypeVar

from ..oci import documents
from .errors import Malformed, Problem
from .jws import is_base64url

__all__ = [
    "Account",
    "AccountStatus",
    "Authorization",
    "AuthorizationStatus",
    "Challenge",
    "ChallengeStatus",
    "Directory",
    "Members",
    "Order",
    "OrderStatus",
    "parse_json",
]

Status = TypeVar("Status", bound=enum.StrEnum)


class AccountStatus(enum.StrEnum):
    """RFC 8555, 7.1.2."""

    VALID = "valid"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"


class OrderStatus(enum.StrEnum):
    """RFC 8555, 7.1.3."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


class AuthorizationStatus(enum.StrEnum):
    """RFC 8555, 7.1.4."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeStatus(enum.StrEnum):
    """RFC 8555, 8."""

    PENDING = "pending"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a CA is asked for what (RFC 8555, 7.1.1).

    Arguments:
        renewal_info: where it says when to renew (RFC 9773, 4.1); None where it does not.
        terms_of_service: its terms, where it has any that are to be agreed to.
        external_account_required: whether new accounts must be bound to one that it knows.
    """

    new_nonce: str
    new_account: str
    new_order: str
    renewal_info: str | None = None
    terms_of_service: str | None = None
    external_account_required: bool = False

    @classmethod
    def parse(cls, document: object) -> Directory:
        """Read a directory, or raise Malformed."""
        members = Members("a directory", document)
        meta = Members("a directory's meta", members.optional("meta", dict) or {})
        return cls(
            members.text("newNonce"),
            members.text("newAccount"),
            members.text("newOrder"),
            members.optional("renewalInfo", str),
            meta.optional("termsOfService", str),
            meta.optional("externalAccountRequired", bool) or False,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """An account of ours (RFC 8555, 7.1.2).

    Arguments:
        url: what names it, in every request from then on.
        contact: what the CA knows of us.
    """

    url: str
    status: AccountStatus
    contact: tuple[str, ...] = ()

    @classmethod
    def parse(cls, document: object, url: str) -> Account:
        """Read the account at ``url``, or raise Malformed."""
        members = Members("an account", document)
        return cls(url, members.status(AccountStatus), members.texts("contact", required=False))


@dataclass(frozen=True, slots=True)
class Challenge:
    """A way to show that a name is ours (RFC 8555, 8).

    Arguments:
        kind: ``http-01``, ``tls-alpn-01``, or another that we have no use for.
        url: where the CA is told that it may look.
        token: what is shown; empty in kinds that have none.
        error: why it failed.
    """

    kind: str
    url: str
    status: ChallengeStatus
    token: str = ""
    error: Problem | None = None

    @classmethod
    def parse(cls, document: object) -> Challenge:
        """Read a challenge, or raise Malformed."""
        members = Members("a challenge", document)
        token = members.optional("token", str) or ""
        # "MUST NOT contain any characters outside the base64url alphabet" (8.3): it becomes a path and a host's answer.
        if token and not is_base64url(token):
            raise Malformed("the CA sent a challenge whose token is not base64url")
        return cls(members.text("type"), members.text("url"), members.status(ChallengeStatus), token, members.problem())


@dataclass(frozen=True, slots=True)
class Authorization:
    """Whether a name is ours, in the CA's eyes (RFC 8555, 7.1.4).

    Arguments:
        url: where it is.
        name: the host name; that of a wildcard without its ``*.``.
        retry_after: the seconds after which the CA wants to be asked again, where it said so.
    """

    url: str
    name: str
    status: AuthorizationStatus
    challenges: tuple[Challenge, ...]
    retry_after: int | None = None

    @classmethod
    def parse(cls, document: object, url: str, retry_after: int | None = None) -> Authorization:
        """Read the authorization at ``url``, or raise Malformed."""
        members = Members("an authorization", document)
        return cls(
            url,
            _name(members.required("identifier", dict)),
            members.status(AuthorizationStatus),
            tuple(Challenge.parse(challenge) for challenge in members.required("challenges", list)),
            retry_after,
        )

    def challenge(self, kind: str) -> Challenge | None:
        """Return the challenge of this kind, where there is one that can be answered."""
        return next((found for found in self.challenges if found.kind == kind and found.token), None)

    @property
    def error(self) -> Problem | None:
        """Why it failed, where a challenge says so."""
        return next((found.error for found in self.challenges if found.error is not None), None)


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate in the making (RFC 8555, 7.1.3).

    Arguments:
        url: where it is.
        names: the host names that the certificate will be for.
        authorizations: where the authorizations are that it takes.
        finalize: where the signing request goes.
        certificate: where the certificate is, once it is there.
        error: why it failed.
        retry_after: the seconds after which the CA wants to be asked again, where it said so.
    """

    url: str
    status: OrderStatus
    names: tuple[str, ...]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    error: Problem | None = None
    retry_after: int | None = None

    @classmethod
    def parse(cls, document: object, url: str, retry_after: int | None = None) -> Order:
        """Read the order at ``url``, or raise Malformed."""
        members = Members("an order", document)
        return cls(
            url,
            members.status(OrderStatus),
            tuple(_name(identifier) for identifier in members.required("identifiers", list)),
            members.texts("authorizations"),
            members.text("finalize"),
            members.optional("certificate", str),
            members.problem(),
            retry_after,
        )


class Members:
    """The members of a JSON object, read by name and type; an absent one and a null are the same.

    Arguments:
        what: what it is, for the error.
        document: what was sent.
    """

    def __init__(self, what: str, document: object) -> None:
        if not isinstance(document, dict):
            raise Malformed(f"the CA sent {what} that is no JSON object")
        self._what = what
        self._members: dict[str, Any] = document

    def optional(self, name: str, kind: type[Any]) -> Any:
        """Return a member of this type, or None where there is none."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, kind):
            raise Malformed(f"the CA sent {self._what} whose {name} is no {kind.__name__}")
        return value

    def required(self, name: str, kind: type[Any]) -> Any:
        """Return a member of this type."""
        value = self.optional(name, kind)
        if value is None:
            raise Malformed(f"the CA sent {self._what} without {name}")
        return value

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value: str = self.required(name, str)
        if not value:
            raise Malformed(f"the CA sent {self._what} whose {name} is empty")
        return value

    def texts(self, name: str, *, required: bool = True) -> tuple[str, ...]:
        """Return a list of texts."""
        values: list[object] = self.required(name, list) if required else self.optional(name, list) or []
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) < len(values):
            raise Malformed(f"the CA sent {self._what} whose {name} are not all texts")
        return texts

    def status(self, kind: type[Status]) -> Status:
        """Return the member ``status``."""
        value = self.text("status")
        try:
            return kind(value)
        except ValueError:
            raise Malformed(f"the CA sent {self._what} in a status that there is not: {value[:40]!r}") from None

    def problem(self) -> Problem | None:
        """Return the member ``error``."""
        document = self.optional("error", dict)
        return None if document is None else Problem.read(document)


def parse_json(body: bytes) -> object:
    """Return what ``body`` says in JSON, or raise Malformed."""
    try:
        document: object = documents.parse_json(body)
    except documents.NotJson as error:
        raise Malformed("the CA sent something that is not JSON, or too much of it") from error
    return document


def _name(identifier: object) -> str:
    """Return a name from an identifier; there are others (RFC 8738: IP addresses), which we never ask for."""
    return Members("an identifier", identifier).text("value")
