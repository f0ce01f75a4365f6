from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred

from crproxy.acme.client import AcmeClient
from crproxy.acme.documents import Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Order, OrderStatus
from crproxy.acme.errors import AcmeError, CaUnreachable, Malformed, RateLimited, Refused, StillPending
from crproxy.acme.jws import AccountKey, ExternalAccount
from tests.acme.conftest import ACCOUNT
from tests.acme.fake_ca import ORIGIN, FakeCa, Reply, problem, unpadded
from tests.acme.test_renewal import ISSUER, SERIAL, certificate, signed_by, window
from tests.memory import Network, ended, failure_of, not_yet

NAME = "cr.example.com"
OURS = certificate(SERIAL, signed_by(ISSUER))
KNOWN_BY = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"

CHALLENGE = {"type": "http-01", "url": f"{ORIGIN}/challenge/1", "status": "pending", "token": "tok"}


def order_reply(status: str, *lines: str, **more: object) -> Reply:
    document = {
        "status": status,
        "identifiers": [{"type": "dns", "value": NAME}],
        "authorizations": [f"{ORIGIN}/authorization/1"],
        "finalize": f"{ORIGIN}/finalize/1",
        **more,
    }
    return Reply(document, 200, lines)


def authorization_reply(outcome: str, *lines: str, **challenge: object) -> Reply:
    document = {"status": outcome, "identifier": {"type": "dns", "value": NAME}, "challenges": [CHALLENGE | challenge]}
    return Reply(document, 200, lines)


CREATED = order_reply("pending", f"Location: {ORIGIN}/order/1")
VALID = order_reply("valid", certificate=f"{ORIGIN}/certificate/1")


def an_order(status: str = "pending", **more: Any) -> Order:
    return Order.parse(order_reply(status, **more).document, f"{ORIGIN}/order/1")


def an_authorization(status: str = "pending") -> Authorization:
    return Authorization.parse(authorization_reply(status).document, f"{ORIGIN}/authorization/1")


def refused(deferred: Deferred[Any], kind: type[AcmeError] = Refused) -> AcmeError:
    error = failure_of(deferred, kind)
    assert isinstance(error, AcmeError)
    return error


class TestAccount:
    def test_it_is_made_with_what_the_ca_wants(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.offer(meta={"termsOfService": "https://ca.example/terms"})
        account = ended(network.run(newcomer.new_account(["mailto:ops@example.com"], terms_agreed=True)))
        assert account.url == f"{ORIGIN}/account/1"
        assert ca.payloads("/account") == [{"termsOfServiceAgreed": True, "contact": ["mailto:ops@example.com"]}]

    def test_terms_must_be_agreed_to(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.offer(meta={"termsOfService": "https://ca.example/terms"})
        error = refused(network.run(newcomer.new_account(terms_agreed=False)))
        assert "agreed to: https://ca.example/terms (userActionRequired)" in str(error)
        assert ca.posts == []

    def test_it_is_bound_to_an_external_one(
        self, network: Network, ca: FakeCa, newcomer: AcmeClient, key: AccountKey
    ) -> None:
        ca.offer(meta={"externalAccountRequired": True})
        ca.script("/account", problem("accountDoesNotExist", 400), ACCOUNT)
        external = ExternalAccount("kid-1", b"secret")
        ended(network.run(newcomer.new_account(terms_agreed=True, external=external)))
        looked, made = ca.payloads("/account")
        assert looked == {"onlyReturnExisting": True}
        assert json.loads(unpadded(made["externalAccountBinding"]["payload"])) == key.jwk

    def test_one_that_exists_needs_no_external_one(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        external = ExternalAccount("kid-1", b"secret")
        ended(network.run(newcomer.new_account(terms_agreed=True, external=external)))
        assert ca.payloads("/account") == [{"onlyReturnExisting": True}]

    def test_an_external_one_that_is_required_is_asked_for(
        self, network: Network, ca: FakeCa, newcomer: AcmeClient
    ) -> None:
        ca.offer(meta={"externalAccountRequired": True})
        error = refused(network.run(newcomer.new_account(terms_agreed=True)))
        assert "(externalAccountRequired)" in str(error)
        assert ca.posts == []

    def test_one_that_the_ca_does_not_take_any_more(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.script("/account", Reply({"status": "revoked"}, 200, ACCOUNT.lines))
        assert "it is revoked" in str(refused(network.run(newcomer.new_account(terms_agreed=True))))

    def test_its_url_must_be_told(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.script("/account", Reply({"status": "valid"}))
        assert "where it is" in str(refused(network.run(newcomer.new_account(terms_agreed=True)), Malformed))

    def test_it_is_found_when_it_is_needed(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.script("/order", CREATED)
        ended(network.run(newcomer.new_order(NAME)))
        assert ca.payloads("/account") == [{"onlyReturnExisting": True}]

    def test_without_one_nothing_is_asked_for(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.script("/account", problem("accountDoesNotExist", 400))
        error = refused(network.run(newcomer.new_order(NAME)))
        assert f"a certificate for {NAME}" in str(error)
        assert ca.payloads("/order") == []

    def test_another_refusal_is_not_that_there_is_none(
        self, network: Network, ca: FakeCa, newcomer: AcmeClient
    ) -> None:
        ca.script("/account", problem("unauthorized", 401))
        assert "(unauthorized)" in str(refused(network.run(newcomer.existing_account())))


class TestOrder:
    def test_it_is_for_one_name(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/order", CREATED)
        order = ended(network.run(client.new_order(NAME)))
        assert (order.url, order.status, order.names) == (f"{ORIGIN}/order/1", OrderStatus.PENDING, (NAME,))
        assert ca.payloads("/order") == [{"identifiers": [{"type": "dns", "value": NAME}]}]

    def test_what_it_replaces_is_told_to_a_ca_that_wants_to_know(
        self, network: Network, ca: FakeCa, client: AcmeClient
    ) -> None:
        ca.script("/order", CREATED)
        ended(network.run(client.new_order(NAME, OURS)))
        ca.offer(renewalInfo=f"{ORIGIN}/renewal")
        network.advance(24 * 3600)
        ended(network.run(client.new_order(NAME, OURS)))
        ended(network.run(client.new_order(NAME, certificate(1, None))))
        assert [payload.get("replaces") for payload in ca.payloads("/order")] == [None, KNOWN_BY, None]

    @pytest.mark.parametrize("why", ["alreadyReplaced", "malformed", "unauthorized"])
    def test_one_that_may_not_replace_is_made_all_the_same(
        self, network: Network, ca: FakeCa, newcomer: AcmeClient, why: str
    ) -> None:
        ca.offer(renewalInfo=f"{ORIGIN}/renewal")
        ca.script("/order", problem(why, 409), CREATED)
        assert ended(network.run(newcomer.new_order(NAME, OURS))).url == f"{ORIGIN}/order/1"
        assert [payload.get("replaces") for payload in ca.payloads("/order")] == [KNOWN_BY, None]

    def test_one_too_many_is_not_made_again(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.offer(renewalInfo=f"{ORIGIN}/renewal")
        ca.script("/order", problem("rateLimited", 429, "Retry-After: 3600"))
        assert refused(network.run(newcomer.new_order(NAME, OURS)), RateLimited).retry_after == 3600
        assert len(ca.payloads("/order")) == 1

    def test_a_name_that_is_refused(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/order", problem("rejectedIdentifier", 400))
        error = refused(network.run(client.new_order(NAME)))
        assert str(error) == f"ca.example refuses a certificate for {NAME}: it says no (rejectedIdentifier)"


class TestValidation:
    def test_a_challenge_is_answered_with_an_empty_object(
        self, network: Network, ca: FakeCa, client: AcmeClient
    ) -> None:
        ca.script("/challenge/1", Reply({**CHALLENGE, "status": "processing"}))
        answered = ended(network.run(client.answer(Challenge.parse(CHALLENGE))))
        assert answered.status is ChallengeStatus.PROCESSING
        assert ca.payloads("/challenge/1") == [{}]

    def test_an_authorization_is_looked_at(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/authorization/1", authorization_reply("pending", "Retry-After: 3"))
        found = ended(network.run(client.authorization(f"{ORIGIN}/authorization/1")))
        assert (found.name, found.status, found.retry_after) == (NAME, AuthorizationStatus.PENDING, 3)
        assert ca.payloads("/authorization/1") == [None]

    def test_the_ca_is_asked_until_it_has_looked(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        pending = authorization_reply("pending")
        ca.script("/authorization/1", pending, pending, authorization_reply("valid"))
        waiting = network.run(client.validated(an_authorization()))
        for seconds, looks in ((0.9, 0), (0.1, 1), (1.9, 1), (0.1, 2), (3.9, 2)):
            network.advance(seconds)
            assert len(ca.payloads("/authorization/1")) == looks
        network.advance(0.1)
        assert ended(waiting).status is AuthorizationStatus.VALID

    @pytest.mark.parametrize(
        ("line", "seconds"),
        [("Retry-After: 7", 7), ("Retry-After: 0", 1), ("Retry-After: Thu, 01 Jan 1970 00:00:08 GMT", 7)],
    )
    def test_the_ca_says_when_to_ask_again(
        self, network: Network, ca: FakeCa, client: AcmeClient, line: str, seconds: int
    ) -> None:
        ca.script("/authorization/1", authorization_reply("pending", line), authorization_reply("valid"))
        waiting = network.run(client.validated(an_authorization()))
        network.advance(1)
        network.advance(seconds - 0.1)
        assert not_yet(waiting)
        network.advance(0.1)
        assert ended(waiting).status is AuthorizationStatus.VALID

    def test_patience_ends(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/authorization/1", authorization_reply("pending"))
        waiting = network.run(client.validated(an_authorization()))
        for _ in range(100):
            network.advance(1)
        assert f"ca.example has not validated {NAME} in 100 s" in str(refused(waiting, StillPending))
        # After 1, 2, 4, 8, 16 and 30 s, and 30 more.
        assert len(ca.payloads("/authorization/1")) == 7

    def test_what_takes_longer_than_patience_is_not_waited_for(
        self, network: Network, ca: FakeCa, client: AcmeClient
    ) -> None:
        ca.script("/authorization/1", authorization_reply("pending", "Retry-After: 3600"))
        waiting = network.run(client.validated(an_authorization()))
        network.advance(1)
        assert refused(waiting, StillPending).retry_after == 3600

    def test_a_look_that_fails_does_not_end_it(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        trouble = [problem("serverInternal", 500), problem("rateLimited", 429, "Retry-After: 5")]
        ca.script("/authorization/1", *trouble, authorization_reply("valid"))
        waiting = network.run(client.validated(an_authorization()))
        for seconds in (1, 2, 5):
            assert not_yet(waiting)
            network.advance(seconds)
        assert ended(waiting).status is AuthorizationStatus.VALID

    def test_looks_that_fail_to_the_last_are_told(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/authorization/1", problem("serverInternal", 500))
        waiting = network.run(client.validated(an_authorization()))
        for _ in range(100):
            network.advance(1)
        assert "the last time, ca.example cannot give an authorization now" in str(refused(waiting, StillPending))

    def test_a_look_that_is_refused_ends_it(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/authorization/1", problem("unauthorized"))
        waiting = network.run(client.validated(an_authorization()))
        network.advance(1)
        assert "(unauthorized)" in str(refused(waiting))

    def test_a_name_that_is_not_ours(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        why = {"type": "urn:ietf:params:acme:error:connection", "detail": "Connection refused"}
        ca.script("/authorization/1", authorization_reply("invalid", status="invalid", error=why))
        waiting = network.run(client.validated(an_authorization()))
        network.advance(1)
        said = f"ca.example could not validate {NAME}: Connection refused (connection)"
        assert str(refused(waiting)) == said

    @pytest.mark.parametrize("status", ["expired", "deactivated", "revoked", "invalid"])
    def test_an_authorization_that_ended_otherwise(self, network: Network, client: AcmeClient, status: str) -> None:
        assert f"it is {status}" in str(refused(network.run(client.validated(an_authorization(status)))))

    def test_one_that_is_valid_already_is_not_looked_at(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        assert ended(network.run(client.validated(an_authorization("valid")))).name == NAME
        assert "POST /authorization/1" not in ca.asked

    def test_whoever_leaves_stops_asking(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/authorization/1", authorization_reply("pending"))
        waiting = network.run(client.validated(an_authorization()))
        network.advance(1)
        waiting.cancel()
        failure_of(waiting, CancelledError)
        network.advance(1000)
        assert len(ca.payloads("/authorization/1")) == 1


class TestFinalize:
    def test_the_request_is_signed_when_the_order_is_ready(
        self, network: Network, ca: FakeCa, client: AcmeClient
    ) -> None:
        ca.script("/order/1", order_reply("pending"), order_reply("ready"), order_reply("processing"), VALID)
        ca.script("/finalize/1", order_reply("processing", "Retry-After: 4"))
        waiting = network.run(client.finalize(an_order(), b"csr"))
        assert ca.payloads("/finalize/1") == []
        network.advance(1)
        assert ca.payloads("/finalize/1") == [{"csr": "Y3Ny"}]
        network.advance(3.9)
        assert len(ca.payloads("/order/1")) == 2
        network.advance(0.1)
        network.advance(2)
        order = ended(waiting)
        assert (order.status, order.certificate) == (OrderStatus.VALID, f"{ORIGIN}/certificate/1")

    def test_a_certificate_may_be_there_at_once(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/finalize/1", VALID)
        assert ended(network.run(client.finalize(an_order("ready"), b"csr"))).status is OrderStatus.VALID
        assert "POST /order/1" not in ca.asked

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"error": {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}}, "CAA forbids it (caa)"),
            ({}, "it is invalid"),
        ],
    )
    def test_an_order_that_fails(
        self, network: Network, ca: FakeCa, client: AcmeClient, more: dict[str, Any], said: str
    ) -> None:
        ca.script("/finalize/1", order_reply("invalid", **more))
        error = refused(network.run(client.finalize(an_order("ready"), b"csr")))
        assert str(error) == f"ca.example could not issue a certificate for {NAME}: {said}"

    def test_an_order_whose_names_are_not_validated(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/order/1", order_reply("invalid"))
        refused(network.run(client.finalize(an_order(), b"csr")))
        assert "POST /finalize/1" not in ca.asked

    def test_a_request_that_is_refused(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        ca.script("/finalize/1", problem("badCSR", 400))
        assert "(badCSR)" in str(refused(network.run(client.finalize(an_order("ready"), b"csr"))))


class TestCertificate:
    CHAIN = "".join(one.public_bytes(Encoding.PEM).decode() for one in (OURS, certificate(7, None)))

    def download(self, network: Network, ca: FakeCa, client: AcmeClient, body: bytes, **how: Any) -> Deferred[str]:
        how.setdefault("media_type", "application/pem-certificate-chain")
        ca.script("/certificate/1", Reply(body=body, **how))
        order = Order.parse(VALID.document, f"{ORIGIN}/order/1")
        return network.run(client.certificate(order))

    def test_it_comes_with_its_chain(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        chain = ended(self.download(network, ca, client, self.CHAIN.encode()))
        assert [one.serial_number for one in x509.load_pem_x509_certificates(chain.encode())] == [SERIAL, 7]
        assert ca.payloads("/certificate/1") == [None]

    def test_nothing_else_comes_with_it(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        body = f"#!/bin/sh\n{self.CHAIN}\nrm -rf /\n".encode()
        assert ended(self.download(network, ca, client, body)) == self.CHAIN

    @pytest.mark.parametrize(
        "body", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n"]
    )
    def test_what_is_no_certificate(self, network: Network, ca: FakeCa, client: AcmeClient, body: bytes) -> None:
        assert "no certificate" in str(refused(self.download(network, ca, client, body), Malformed))

    def test_what_is_of_another_type(self, network: Network, ca: FakeCa, client: AcmeClient) -> None:
        waiting = self.download(network, ca, client, self.CHAIN.encode(), media_type="application/pkix-cert")
        assert "'application/pkix-cert'" in str(refused(waiting, Malformed))

    def test_an_order_that_has_none(self, network: Network, client: AcmeClient) -> None:
        refused(network.run(client.certificate(an_order("valid"))), Malformed)


class TestRenewal:
    @pytest.mark.parametrize("url", [f"{ORIGIN}/renewal", f"{ORIGIN}/renewal/"])
    def test_the_ca_is_asked_without_a_signature(
        self, network: Network, ca: FakeCa, newcomer: AcmeClient, url: str
    ) -> None:
        ca.offer(renewalInfo=url)
        ca.script(f"/renewal/{KNOWN_BY}", Reply(window(), 200, ("Retry-After: 3600",)))
        info = ended(network.run(newcomer.renewal_info(OURS)))
        assert info is not None
        assert info.ask_again == 3600
        assert ca.asked == ["GET /dir", f"GET /renewal/{KNOWN_BY}"]

    def test_a_ca_that_does_not_know_of_it(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        assert ended(network.run(newcomer.renewal_info(OURS))) is None
        assert ca.asked == ["GET /dir"]

    def test_a_certificate_that_cannot_be_asked_for(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.offer(renewalInfo=f"{ORIGIN}/renewal")
        assert ended(network.run(newcomer.renewal_info(certificate(1, None)))) is None

    def test_a_ca_that_is_out_of_order(self, network: Network, ca: FakeCa, newcomer: AcmeClient) -> None:
        ca.offer(renewalInfo=f"{ORIGIN}/renewal")
        ca.script(f"/renewal/{KNOWN_BY}", Reply(status=503))
        assert "renewal information" in str(refused(network.run(newcomer.renewal_info(OURS)), CaUnreachable))
