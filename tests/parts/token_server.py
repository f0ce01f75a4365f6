"""A token server as registries have them: signs what docker-registry accepts, and counts who asked.

"Docker Registry v2 authentication via central service"; JWT by hand, because a library more would prove no more.
"""

from __future__ import annotations

import base64
import datetime
import json
import secrets
import time
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .answers import Answer, Request
from .fake_upstream import FakeUpstream
from .shapes import error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TokenServer"]

_LIFETIME = 300


class TokenServer:
    """Gives pull tokens to anybody, unless it has users: then to those alone.

    With ``rights`` it gives tokens to everybody who does not give a wrong password, but, as Docker Hub does, such that
    are good for nothing where there is no right.

    Arguments:
        users: names and passwords.
        rights: names of users, and the repositories that each may pull from; they may be changed.
        field: what the token is called in the answer: ``token`` or ``access_token``.
        tells_lifetime: whether the answer has ``expires_in``.
    """

    issuer = "tokens.example.org"
    service = "registry.example.org"

    def __init__(
        self,
        users: dict[str, str] | None = None,
        *,
        rights: dict[str, set[str]] | None = None,
        field: str = "token",
        tells_lifetime: bool = True,
    ) -> None:
        self.rights = rights
        self._users = users
        self._field = field
        self._tells_lifetime = tells_lifetime
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._key)
        self._http = FakeUpstream()
        self._http.script("/token", self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.__exit__()

    @property
    def realm(self) -> str:
        return f"{self._http.url}/token"

    @property
    def requests(self) -> list[Request]:
        """Who asked so far."""
        return self._http.seen.requests()

    def write_certificate(self, path: Path) -> Path:
        """Write what a registry needs in order to trust the tokens."""
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _answer(self, request: Request) -> Answer:
        user = _basic_user(request)
        if not self._knows(user):
            return error(401, "UNAUTHORIZED", "incorrect username or password")
        name = "" if user is None else user[0]
        scopes = [scope for line in request.query.get("scope", []) for scope in line.split()]
        document: dict[str, object] = {self._field: self._sign([one for one in scopes if self._may(name, one)], name)}
        if self._tells_lifetime:
            document["expires_in"] = _LIFETIME
        return Answer(headers=(("Content-Type", "application/json"),), body=json.dumps(document).encode())

    def _knows(self, user: tuple[str, str] | None) -> bool:
        if user is None:
            return self._users is None or self.rights is not None
        return self._users is None or self._users.get(user[0]) == user[1]

    def _may(self, name: str, scope: str) -> bool:
        return self.rights is None or scope.split(":")[1] in self.rights.get(name, set())

    def _sign(self, scopes: list[str], subject: str) -> str:
        now = int(time.time())
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        header = {"typ": "JWT", "alg": "ES256", "x5c": chain}
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": self.service,
            "nbf": now - 60,
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": secrets.token_hex(8),
            "access": [_access(scope) for scope in scopes],
        }
        signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _access(scope: str) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": [action for action in actions.split(",") if action == "pull"]}


def _basic_user(request: Request) -> tuple[str, str] | None:
    for value in request.values("Authorization"):
        scheme, _, encoded = value.partition(" ")
        if scheme.lower() == "basic":
            name, _, password = base64.b64decode(encoded).decode().partition(":")
            return name, password
    return None


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, TokenServer.issuer)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    valid = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    return valid.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
