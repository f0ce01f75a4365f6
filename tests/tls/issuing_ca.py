"""A CA in memory that issues: it looks at each challenge through a function, and signs what it is sent."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from crproxy.tls.certificates import self_signed
from tests.acme.conftest import ACCOUNT
from tests.acme.fake_ca import ORIGIN, FakeCa, Post, Reply, problem, unpadded
from tests.memory import Network, Seen

__all__ = ["IssuingCa"]


@dataclass
class _Order:
    name: str
    looked: bool = False
    refused: Reply | None = None
    certificate: bytes | None = None


class IssuingCa(FakeCa):
    """Issues certificates that are valid for `lifetime` seconds from its own clock on.

    Arguments:
        sees: tells whether the challenge of this kind, for this name and token, is answered as it should be.
    """

    def __init__(self, network: Network, sees: Callable[[str, str, str], bool]) -> None:
        super().__init__(network)
        self.sees = sees
        self.lifetime = 90 * 86400.0
        self.behind = 0.0  # seconds that our clock is ahead of its
        self.down = False
        self.mute = False  # it takes requests, and answers none
        self.validated: set[str] = set()
        self.refusals: dict[str, Reply] = {}
        self.busy: Reply | None = None
        self.account = ACCOUNT
        self._orders: list[_Order] = []
        self._root = self_signed("root", 0)
        self._renewal: Reply | None = None

    @property
    def ordered(self) -> list[str]:
        """The names that orders were made for, in their order."""
        return [post.payload["identifiers"][0]["value"] for post in self.posts if post.path == "/order"]

    def _answer(self, seen: Seen) -> bytes | None:
        if self.mute:
            return None
        if self.down:
            return b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"
        return super()._answer(seen)

    def script_renewal(self, document: object) -> None:
        """Say this of every certificate, when asked when to renew it."""
        self._renewal = Reply(document)

    def _next(self, path: str) -> Reply | None:
        return self._renewal if path.startswith("/renewal/") else super()._next(path)

    def _answer_signed(self, seen: Seen) -> bytes | None:
        post = self._open(seen)
        self._nonces.remove(post.header["nonce"])
        self.posts.append(post)
        return self._handle(post).bytes(self._new_nonce())

    def _handle(self, post: Post) -> Reply:
        if self.busy is not None:
            return self.busy
        if post.path == "/account":
            return self.account
        if post.path == "/order":
            return self._new_order(post.payload["identifiers"][0]["value"])
        kind, number = post.path.strip("/").split("/")
        order = self._orders[int(number)]
        steps: dict[str, Callable[[int, _Order, Any], Reply]] = {
            "authorization": self._authorization,
            "http-01": lambda number, order, _: self._look("http-01", number, order),
            "tls-alpn-01": lambda number, order, _: self._look("tls-alpn-01", number, order),
            "finalize": self._finalize,
            "order": lambda number, order, _: self._order(number, order),
            "certificate": lambda number, order, _: self._certificate(order),
        }
        return steps[kind](int(number), order, post.payload)

    def _new_order(self, name: str) -> Reply:
        if name in self.refusals:
            return self.refusals[name]
        self._orders.append(_Order(name, looked=name in self.validated))
        return self._order(len(self._orders) - 1, self._orders[-1])

    def _order(self, number: int, order: _Order) -> Reply:
        status = "valid" if order.certificate else "ready" if order.looked else "pending"
        document = {
            "status": status,
            "identifiers": [{"type": "dns", "value": order.name}],
            "authorizations": [f"{ORIGIN}/authorization/{number}"],
            "finalize": f"{ORIGIN}/finalize/{number}",
            "certificate": f"{ORIGIN}/certificate/{number}",
        }
        return Reply(document, 201, (f"Location: {ORIGIN}/order/{number}",))

    def _authorization(self, number: int, order: _Order, _: Any) -> Reply:
        challenges = [
            {"type": kind, "url": f"{ORIGIN}/{kind}/{number}", "status": "pending", "token": f"token-{number}"}
            for kind in ("dns-01", "http-01", "tls-alpn-01")
        ]
        status = "valid" if order.looked else "pending"
        if order.refused is not None:
            status, challenges[1]["error"] = "invalid", order.refused.document  # type: ignore[assignment]
        return Reply({"status": status, "identifier": {"type": "dns", "value": order.name}, "challenges": challenges})

    def _look(self, kind: str, number: int, order: _Order) -> Reply:
        order.looked = self.sees(kind, order.name, f"token-{number}")
        if not order.looked:
            order.refused = problem("connection", detail=f"fetching {order.name}: connection refused")
        return Reply(
            {"type": kind, "url": f"{ORIGIN}/{kind}/{number}", "status": "processing", "token": f"token-{number}"}
        )

    def _finalize(self, number: int, order: _Order, payload: Any) -> Reply:
        request = x509.load_der_x509_csr(unpadded(payload["csr"]))
        began = datetime.datetime.fromtimestamp(self.network.clock.seconds() - self.behind, datetime.UTC)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert names.value.get_values_for_type(x509.DNSName) == [order.name]
        issued = (
            x509.CertificateBuilder(self._root.leaf.subject, request.subject, request.public_key(), 1 + number)
            .not_valid_before(began)
            .not_valid_after(began + datetime.timedelta(seconds=self.lifetime))
            .add_extension(names.value, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier(b"root", None, None), critical=False)
            .sign(self._root.key, hashes.SHA256())
        )
        chain = (issued, self._root.leaf)
        order.certificate = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        return self._order(number, order)

    def _certificate(self, order: _Order) -> Reply:
        assert order.certificate is not None
        return Reply(body=order.certificate, media_type="application/pem-certificate-chain")
