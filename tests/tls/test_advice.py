from __future__ import annotations

import pytest

from crproxy.tls.advice import advice


@pytest.mark.parametrize(
    ("kind", "challenge", "what"),
    [
        ("dns", "http-01", "Check the DNS of cr.test"),
        ("connection", "http-01", "Check that port 80 of cr.test leads here"),
        ("connection", "tls-alpn-01", "Check that port 443 of cr.test leads here"),
        ("unauthorized", "http-01", "Something else answered: check where the DNS of cr.test leads"),
        ("incorrectResponse", "http-01", "Something else answered"),
        ("caa", "http-01", "The CAA records of cr.test"),
        ("rejectedIdentifier", "http-01", "This CA issues no certificate for cr.test"),
        ("externalAccountRequired", "http-01", "Set eab_key_id and eab_hmac_file"),
        ("untrusted", "http-01", "If it is a CA of your own, name the certificates that vouch for it as ca_file"),
        ("invalidContact", "http-01", "Check the email"),
    ],
)
def test_what_to_check(kind: str, challenge: str, what: str) -> None:
    assert advice(kind, challenge, "cr.test").startswith(what)


def test_an_account_that_is_refused_is_no_matter_of_dns() -> None:
    assert advice("unauthorized", "http-01", "cr.test", of_account=True) == (
        "Check eab_key_id and eab_hmac_file under [acme]"
    )


def test_where_the_cas_words_say_it_all_nothing_is_added() -> None:
    assert advice("rateLimited", "http-01", "cr.test") == ""
