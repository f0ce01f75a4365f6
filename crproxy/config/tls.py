"""Where the daemon listens, and where its certificates come from."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from ..policy.endpoints import PROXIED
from ..policy.urls import origin_of
from .table import Table
from .values import LETSENCRYPT, LOCAL_HTTP, Acme, Listen

__all__ = ["read_acme", "read_listen"]

DOMAIN_HTTP = ("tcp:80",)
DOMAIN_HTTPS = ("tcp:443",)

_DIRECTORIES = {
    "letsencrypt": LETSENCRYPT,
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "none": None,
}
_CHALLENGES = ("http-01", "tls-alpn-01")


def read_listen(table: Table, spoken: Table, *, has_domain: bool) -> Listen:
    """Return where to listen, by the file's table and the command line. Raises ConfigError."""
    http = _endpoints(table, spoken, "http", DOMAIN_HTTP if has_domain else LOCAL_HTTP)
    https = _endpoints(table, spoken, "https", DOMAIN_HTTPS if has_domain else ())
    if https and not has_domain:
        source = spoken if "https" in spoken.values else table
        source.fail("https", "TLS needs a domain, whose certificate is shown: set domain, or --domain")
    plain = table.string("plain_http") or "redirect"
    if plain not in ("redirect", "serve"):
        table.fail("plain_http", f"{plain!r} is neither redirect nor serve")
    trusted = table.networks("trusted_proxies")
    if not trusted:
        for key, endpoints in (("http", http), ("https", https)):
            _refuse_proxied(spoken if key in spoken.values else table, key, endpoints)
    grace = table.duration("grace", Listen().grace)
    listen = Listen(http, https, table.string("admin"), plain == "serve", trusted, grace)
    table.refuse_the_rest()
    return listen


def _refuse_proxied(source: Table, key: str, endpoints: tuple[str, ...]) -> None:
    for endpoint in endpoints:
        if endpoint.startswith(PROXIED):
            source.fail(
                key, f"{endpoint!r} expects a PROXY header: say under [listen] trusted_proxies from whom it is believed"
            )


def _endpoints(table: Table, spoken: Table, key: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    from_file, from_options = table.strings(key), spoken.strings(key)
    for source, found in ((spoken, from_options), (table, from_file)):
        if key in source.values:
            # An empty one listens nowhere.
            return tuple(endpoint for endpoint in found if endpoint)
    return usual


def read_acme(table: Table, spoken: Table, read_file: Callable[[Table, str], str | None]) -> Acme:
    """Return where certificates come from. Raises ConfigError.

    Arguments:
        read_file: returns the text of the file that a key names.
    """
    challenge = table.string("challenge") or _CHALLENGES[0]
    if challenge not in _CHALLENGES:
        table.fail("challenge", f"{challenge!r} is none of {', '.join(_CHALLENGES)}")
    key_id, hmac = table.string("eab_key_id"), read_file(table, "eab_hmac_file")
    if (key_id is None) != (hmac is None):
        table.fail("eab_key_id", "it goes with an eab_hmac_file, and the other way round")
    acme = Acme(
        directory=_directory(table, spoken),
        email=_email(table, spoken),
        challenge=challenge,
        eab_key_id=key_id,
        eab_hmac=None if hmac is None else _hmac(table, hmac.strip()),
        authorities=read_file(table, "ca_file"),
    )
    table.refuse_the_rest()
    return acme


def _directory(table: Table, spoken: Table) -> str | None:
    from_file, from_options = table.string("directory"), spoken.string("acme-directory")
    source, key, name = (table, "directory", from_file)
    if from_options is not None:
        source, key, name = (spoken, "acme-directory", from_options)
    if name is None or name in _DIRECTORIES:
        return _DIRECTORIES[name or "letsencrypt"]
    if origin_of(name) is None:
        source.fail(key, f"{name!r} is no CA: write {', '.join(_DIRECTORIES)}, or the URL of a directory")
    return name


def _email(table: Table, spoken: Table) -> str | None:
    from_file, from_options = table.string("email"), spoken.string("acme-email")
    source, key, email = (table, "email", from_file) if from_options is None else (spoken, "acme-email", from_options)
    if email and ("@" not in email or not email.isascii() or not email.isprintable() or " " in email):
        source.fail(key, f"{email!r} is no address: write one such as ops@example.com")
    return email or None


def _hmac(table: Table, text: str) -> str:
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        decoded = b""
    if not decoded:
        table.fail("eab_hmac_file", "there is no key in base64url in it, as the CA gives it out")
    return text.rstrip("=")
