from __future__ import annotations

import pytest
import trustme

from crproxy.config import Acme, Config, Listen, Options, load
from tests.configs import loaded, mistake

DOMAIN = 'domain = "cr.test"\n'
ACME = DOMAIN + "[acme]\n"


def test_with_a_domain_there_is_tls_and_without_one_there_is_none() -> None:
    assert loaded(DOMAIN).listen == Listen(("tcp:80",), ("tcp:443",))
    assert loaded().listen == Listen(("tcp:5000:interface=127.0.0.1",), ())


@pytest.mark.parametrize("config", [loaded(DOMAIN + "[listen]\nhttps = []"), loaded(DOMAIN, https=("",))])
def test_tls_can_be_turned_off(config: Config) -> None:
    assert config.listen.https == ()


def test_the_command_line_wins_over_the_file() -> None:
    text = DOMAIN + '[listen]\nhttp = ["tcp:1"]\nhttps = ["tcp:2"]'
    assert loaded(text, https=("tcp:3", "tcp:4")).listen == Listen(("tcp:1",), ("tcp:3", "tcp:4"))


def test_the_rest_of_listen() -> None:
    listen = loaded(DOMAIN + '[listen]\nadmin = "unix:/run/x"\nplain_http = "serve"').listen
    assert (listen.admin, listen.serve_plain) == ("unix:/run/x", True)


def test_the_time_to_finish() -> None:
    assert loaded().listen.grace == 20
    assert loaded('[listen]\ngrace = "1m"').listen.grace == 60


def test_letsencrypt_is_asked_unless_another_is_named() -> None:
    assert loaded(DOMAIN).acme == Acme("https://acme-v02.api.letsencrypt.org/directory")
    assert loaded(ACME + 'directory = "none"').acme.directory is None
    assert loaded(ACME + 'directory = "https://ca.example/dir"').acme.directory == "https://ca.example/dir"
    staging = "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert loaded(ACME + 'directory = "none"', acme_directory="letsencrypt-staging").acme.directory == staging


def test_a_whole_table() -> None:
    files = {"/hmac": "c2VjcmV0\n", "/ca.pem": trustme.CA().cert_pem.bytes().decode()}
    text = ACME + (
        'email = "ops@example.com"\nchallenge = "tls-alpn-01"\n'
        'eab_key_id = "kid"\neab_hmac_file = "/hmac"\nca_file = "/ca.pem"'
    )
    acme = load(text, Options(), read_file=files.__getitem__).acme
    assert (acme.email, acme.challenge) == ("ops@example.com", "tls-alpn-01")
    assert (acme.eab_key_id, acme.eab_hmac, acme.authorities) == ("kid", "c2VjcmV0", files["/ca.pem"])
    assert "c2VjcmV0" not in repr(acme)


def test_certs_and_the_email_of_the_command_line() -> None:
    config = loaded(DOMAIN + 'certs = "/file"\n[acme]\nemail = "a@example.com"', certs="/option", acme_email="b@b.test")
    assert (config.certs, config.acme.email) == ("/option", "b@b.test")
    assert loaded(DOMAIN + 'certs = "/file"', certs="").certs is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[listen]\nhttps = ["tcp:443"]', "line 2: listen.https: TLS needs a domain"),
        ('[listen]\nplain_http = "both"', "line 2: listen.plain_http: 'both' is neither redirect nor serve"),
        ('[listen]\ngrace = "0s"', "line 2: listen.grace: '0s' is no time at all"),
        (ACME + 'directory = "letsencript"', "line 3: acme.directory: 'letsencript' is no CA: write letsencrypt"),
        (ACME + 'email = "ops"', "line 3: acme.email: 'ops' is no address"),
        (ACME + 'challenge = "dns-01"', "line 3: acme.challenge: 'dns-01' is none of http-01, tls-alpn-01"),
        (ACME + 'eab_key_id = "x"', "line 3: acme.eab_key_id: it goes with an eab_hmac_file"),
        (ACME + "ca = 1", "line 3: acme.ca: there is no such key"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, what: str) -> None:
    assert mistake(text).startswith(what)


@pytest.mark.parametrize("content", ["", "ä", "===="])
def test_a_key_of_an_external_account_is_base64url(content: str) -> None:
    with pytest.raises(Exception, match=r"^line 4: acme.eab_hmac_file: there is no key in base64url in it"):
        load(ACME + 'eab_key_id = "x"\neab_hmac_file = "/h"', Options(), read_file=lambda _: content)


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("acme_directory", "x", "--acme-directory: 'x' is no CA"),
        ("acme_email", "x", "--acme-email: 'x' is no address"),
        ("https", ("tcp:443",), "listen.https: TLS needs a domain"),
    ],
)
def test_a_mistake_on_the_command_line(option: str, value: object, what: str) -> None:
    assert mistake("", **{option: value}).startswith(what)
