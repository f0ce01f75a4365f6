"""Whatever strangers write is read in a time that grows with its length, and no faster (S17, S20).

One reactor reads for everybody: a ``Link`` of 10 KB, made for the expression that read it, once held it for 14 s. So
every parser that meets a stranger's text is a row here, and every regular expression of the package is in one of them.
"""

from __future__ import annotations

import ast
import gc
import importlib
import ipaddress
import json
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import crproxy
from crproxy.acme.documents import parse_json as parse_ca_json
from crproxy.acme.errors import Malformed, Problem
from crproxy.acme.jws import is_base64url
from crproxy.acme.renewal import RenewalInfo
from crproxy.config import Config
from crproxy.forward.connect import _NOT_A_PHRASE
from crproxy.login.authentication import AuthRequest
from crproxy.oci.digests import Digest
from crproxy.oci.documents import NotJson, parse_json
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.manifests import all_references
from crproxy.oci.media_types import is_media_type, passed_type
from crproxy.oci.names import DOCKER_HUB, Registry, Repository, parse_reference
from crproxy.oci.platforms import Platform
from crproxy.oci.routes import parse_path
from crproxy.oci.sizes import parse_size
from crproxy.policy.audit import cache_state
from crproxy.policy.authorizations import parse_authorization
from crproxy.policy.challenges import parse_challenges
from crproxy.policy.clients import client_of
from crproxy.policy.connecting import HostPattern, parse_target, verdict
from crproxy.policy.external_address import external_address
from crproxy.policy.fields import FIELD_LIMIT
from crproxy.policy.headers import answer_headers, next_page
from crproxy.policy.images import parse_image
from crproxy.policy.log_lines import plain
from crproxy.policy.pasted_text import LONGEST, NotAnImage, read_pasted
from crproxy.policy.quotas import parse_quota
from crproxy.policy.ranges import parse_content_range, parse_ranges, unsatisfied_size
from crproxy.policy.redaction import escaped, redacted, redacted_target
from crproxy.policy.redirects import RefusedRedirect, follow
from crproxy.policy.refusals import parse_retry_after, refusal
from crproxy.policy.request_ids import believed, error_with_id
from crproxy.policy.rewriting import Renaming, TooMany, rewrite
from crproxy.policy.routing import host_name
from crproxy.policy.scopes import parse_scopes
from crproxy.policy.urls import origin_of
from crproxy.signatures import NotSigned
from crproxy.signatures.bundles import bundle_in, bundles_listed
from crproxy.signatures.documents import decoded
from crproxy.signatures.simple_signing import signatures_in
from crproxy.signatures.statements import PAYLOAD_TYPE, check_statement
from crproxy.tls.client_hello import NotAHello, read_hello
from crproxy.upstream.tunnel import _STATUS_LINE, _printable
from crproxy.web.page.preferences import language_of, wants_html

# Characters of the long text, of which the short one is an eighth: no longer than what is read of a field, since what
# is longer is refused unread, in no time.
_LONG = FIELD_LIMIT - 200
_GROWTH = 8
# What grows with the square takes 64 times as long; a machine that does other things besides, at the minimum of several
# runs, never doubled it.
_MOST = _GROWTH * 3
# Seconds for the long text that are nothing to care about, whatever the growth: a square of its length took 80 times
# that (a Range, before it was taken apart at its commas).
_NOTHING = 0.008
_RUNS, _TRIES = 5, 3

_REFUSALS = (
    ValueError,
    RegistryError,
    NotJson,
    NotAHello,
    NotAnImage,
    TooMany,
    Malformed,
    RefusedRedirect,
)


@dataclass(frozen=True)
class Parser:
    """What reads a stranger's text, and texts that were made to hold it up.

    Arguments:
        read: reads it.
        pumps: parts that are repeated.
        before, behind: what stands around them.
        long: characters of the long text.
    """

    read: Callable[[str], object]
    pumps: tuple[str, ...]
    before: tuple[str, ...] = ("",)
    behind: tuple[str, ...] = ("", "!")
    long: int = _LONG

    def families(self) -> Iterator[tuple[str, str, str]]:
        """Every way to put them together."""
        for pump in self.pumps:
            for before in self.before:
                for behind in self.behind:
                    yield before, pump, behind


_NETWORKS = (ipaddress.ip_network("10.0.0.0/8"),)
_FRONT = external_address(Config().names, "localhost:5000", secure=False)
_RENAMING = Renaming(_FRONT, Config().serves())


def _refused(body: str) -> RegistryError:
    return refusal(DOCKER_HUB, "it", ErrorCode.BLOB_UNKNOWN, 404, body.encode())


def _message(text: str) -> RegistryError:
    return _refused(json.dumps({"errors": [{"code": "X", "message": text}]}))


def _signatures(text: str) -> None:
    for read in (signatures_in, bundle_in, bundles_listed):
        with suppress(NotSigned):
            read(text.encode())
    check_statement(text.encode(), PAYLOAD_TYPE, Digest.of(b""))


def _renewal(text: str) -> RenewalInfo:
    return RenewalInfo.parse({"suggestedWindow": {"start": text, "end": text}}, None)


def _decided(text: str) -> object:
    return verdict(parse_target(text), (DOCKER_HUB,), (HostPattern("*.example.com"),))


def _hello(pump: str) -> object:
    return read_hello(pump.encode("latin-1"))


PARSERS = {
    # Upstreams' fields
    "Link": Parser(
        lambda text: next_page(text, "/v2/x/tags/list"),
        (
            *(
                "<",
                ">",
                "<>",
                "<>;",
                "<>,",
                ";",
                ",",
                " ",
                "\t",
                " next",
                "next ",
                'rel="',
                "rel=",
                'rel=";<>;',
                "<>;rel=",
            ),
            *(
                '"',
                '\\"',
                "\\",
                '"<>;',
                "a",
                "a=",
                ";a",
                ';a="b"',
                ";rel=next",
                "<a>;rel=prev,",
                "&",
                "&a=b",
                "%41",
                "%",
            ),
        ),
        ("", "<a?b=1>", "<a?b=1>;", '<a?b=1>; rel="', '<a>; x="', '<>;<>;<>;rel="', "<a?", "<a?b="),
        ("", "!", '"', ">", '>; rel="next"', "; rel=next"),
    ),
    "WWW-Authenticate": Parser(
        lambda text: parse_challenges([text]),
        (
            "a",
            "a ",
            "a,",
            "a=",
            "a=b,",
            'a="b",',
            '"',
            '\\"',
            "\\",
            " ",
            "\t",
            ",",
            " ,",
            "=",
            "a =",
            "a\ta ",
            "a1/",
            "==",
            " a==",
        ),
        ("", "Bearer", "Bearer ", 'Bearer realm="', "Bearer a"),
        ("", "!", '"', "\x00", "="),
    ),
    "WWW-Authenticate, in many lines": Parser(
        lambda text: parse_challenges(text.split("\n")), ("a b\n", "\n", 'Bearer realm="\n')
    ),
    "ratelimit": Parser(
        lambda text: parse_quota({"ratelimit-limit": text, "ratelimit-remaining": text}, 0),
        ("1", " ", "\t", ";", "w=1", ";w=1", "1;w=1"),
        ("", "1", "1;", "1;w="),
    ),
    "Content-Range": Parser(
        lambda text: (parse_content_range(text), unsatisfied_size(text)),
        ("1", "-", "/", "*"),
        ("", "bytes ", "bytes */"),
    ),
    "Retry-After": Parser(
        lambda text: parse_retry_after(text, 0),
        ("1", " ", ",", ":", "-", "+", "Mon, ", "Jan ", "1 ", "a", "("),
        ("", "Mon, 01 Jan 2026 00:00:00 ", "Mon, 01 Jan "),
        ("", "!", " GMT"),
    ),
    "Location": Parser(
        lambda text: follow("https://a.example/v2/x", text, followed=0),
        ("/", "..", "../", "./", "a", "?", "#", ":", "@", "//", "%", "[", "]", "1", ";", "\t"),
        ("", "https://", "//", "https://a/", "https://a:", "/", "?"),
    ),
    "URL": Parser(origin_of, ("a", ".", ":", "1", "/", "[", "]", "-", "@"), ("", "https://", "http://a:", "https://[")),
    "what passes of a header": Parser(
        lambda text: answer_headers(dict.fromkeys(("etag", "docker-content-digest", "last-modified"), text)),
        ("a", '"', "sha256:", " "),
    ),
    "Content-Type": Parser(
        lambda text: (passed_type(text, "x"), is_media_type(text)),
        ("a", ".", "+", "+json", "vnd.", "/", ";", " ", "charset=utf-8", "; charset=utf-8", '"'),
        ("", "application/", "application/vnd.", "application/json;", "application/json; charset="),
        ("", "!", "+json", "+jsonx"),
    ),
    "Content-Length": Parser(parse_size, ("1", "0", "\u0661", " ")),
    "status line of a proxy": Parser(
        lambda text: (_STATUS_LINE.match(text.encode("latin-1")), _printable(text.encode("latin-1"))),
        ("a", " ", "\r", "\n", "1", "\xff", "\r\n"),
        ("", "HTTP/1.1 200", "HTTP/1.1 200 "),
        ("", "\r\n"),
    ),
    # Upstreams' bodies
    "JSON": Parser(
        lambda text: parse_json(text.encode()),
        (
            "[",
            "{",
            '{"a":',
            "[],",
            "{},",
            "1",
            "1,",
            "1.",
            "1e9,",
            "-",
            '"',
            '"",',
            "\\u0041",
            "\\",
            ",",
            "[[",
            "NaN,",
            " ",
        ),
        ("", "[", '["', "[0.", "1", '{"a":"'),
        ("", "]", '"]', "}"),
        long=64 * 1024,
    ),
    "manifest": Parser(
        lambda text: all_references(text.encode()),
        ("{},", "[],", "1,", '{"digest":"x","mediaType":"a","size":1},', '{"digest":5},'),
        ('{"layers":[', '{"manifests":['),
        ("{}]}", ""),
        long=64 * 1024,
    ),
    "signatures": Parser(
        _signatures,
        ("{},", "[],", "1,", '{"annotations":{"dev.cosignproject.cosign/signature":"AA=="}},', '{"subject":{}},'),
        ('{"layers":[', '{"manifests":[', '{"subject":['),
        ("{}]}", ""),
        long=64 * 1024,
    ),
    "a signature": Parser(lambda text: decoded(text, "it"), ("A", "=", "A=", " ", "-", "\n"), ("", "AA")),
    "error document": Parser(
        _refused,
        ("[", "{", '{"errors":[', "\\u0041", '"', "1"),
        ("", '{"errors":[{"message":"', '{"errors":['),
        long=64 * 1024,
    ),
    "error message": Parser(
        _message,
        ("a", "@", "a:b@", " ", "token=", "bearer ", "//", "?a=", "\u2028", "authorization"),
        ("", "Bearer "),
        long=60 * 1024,
    ),
    "platform": Parser(
        lambda text: (Platform.of({"platform": {"os": text, "architecture": text}}), Platform.parse(text)),
        ("a", "/", "\ud800"),
    ),
    "X-Request-Id": Parser(lambda text: believed([text]), ("a", ".", "-", " ", "\n")),
    "challenge of ours": Parser(
        lambda text: error_with_id(RegistryError(ErrorCode.UNAUTHORIZED, "no", challenge=text), "a"),
        ("a", '"', "error_description=", 'error_description="'),
        ("", 'error_description="'),
    ),
    "name of a field that is logged": Parser(lambda text: plain(text, 0), ("a", "tok", "passw ", "Token", "credentia")),
    # CAs
    "a CA's document": Parser(
        lambda text: (parse_ca_json(text.encode()), Problem.read({"type": text, "detail": text})),
        ("[", "1", '"', "a", ":"),
        ("", '"'),
    ),
    "a CA's nonce": Parser(is_base64url, ("a", "-", "=")),
    "a CA's time": Parser(
        _renewal, ("1", "0", ".", ":", "2026-01-01T00:00:00."), ("", "2026-01-01T00:00:00."), ("", "Z", "+00:00")
    ),
    # Clients
    "path": Parser(
        parse_path,
        (
            "a",
            "/",
            "a/",
            "/manifests/",
            "manifests/",
            "/blobs/uploads",
            "/blobs/uploads/",
            "tags/",
            "/tags/list",
            ".",
            "..",
            "%",
        ),
        ("/v2/", "/v2/a", "/v2/_catalog", ""),
        ("", "!", "/manifests/", "/", "/blobs/uploads"),
    ),
    "registry": Parser(
        Registry.parse,
        ("a", ".", ":", "1", "-", "_", "[", "é", "xn--", "ä.", "a.", "0x", "1.", "\u00ad"),
        ("", "[", "a:"),
    ),
    "repository": Parser(
        lambda text: Repository.parse(DOCKER_HUB, text), ("a", ".", "/", "-", "_", "__", "a-", "a_", "a/", "--")
    ),
    "reference": Parser(parse_reference, ("a", ".", ":", "sha256:", "0"), ("", "sha256:")),
    "digest": Parser(Digest.parse, ("0", "f", ":"), ("", "sha512:")),
    "Host": Parser(
        lambda text: (
            host_name(text),
            external_address(Config().names, text, secure=True),
            AuthRequest(host=text).address,
        ),
        ("a", ":", "1", "[", "]", ".", ":1", "-", "é", "a."),
        ("", "["),
        ("", "!", ":443", "]"),
    ),
    "Authorization": Parser(
        parse_authorization, ("a", " ", "=", "YTpi", ":", "\t"), ("", "Basic ", "Bearer "), ("", "!", "=")
    ),
    "Range": Parser(
        parse_ranges,
        ("1", "-", ",", " ", "\t", "1-1,", ", ", ",-", "1-", " 1-1 ,"),
        ("", "bytes=", "bytes=1-1", "bytes=1-1,"),
        ("", "!", ","),
    ),
    "X-Forwarded-For": Parser(
        lambda text: client_of("10.0.0.1", [text], _NETWORKS),
        (
            "10.0.0.1,",
            "1",
            ".",
            ",",
            ":",
            "[",
            "]",
            " ",
            "%",
            "10.0.0.1:1,",
            "::",
            "[::1],",
            " ,",
            "::ffff:10.0.0.1,",
        ),
        ("", "[", "10.0.0.1:"),
    ),
    "scope": Parser(
        lambda text: parse_scopes([text]),
        ("a", ":", " ", "(", ")", "a(", "repository:a:pull ", "repository:", ",", "pull,", "a:a:a "),
        ("", "repository:a:", "repository(a):"),
    ),
    "Accept": Parser(
        lambda text: (wants_html(text), language_of(None, text)),
        (",", ";", "q=", "q=0", " ", "a;", "0", "\t", "text/html;q=0.1,", " ;", "; q = 0", "de,"),
        ("", "a;", "a; q", "a;q=0."),
    ),
    "pasted text": Parser(
        lambda text: read_pasted(text, _FRONT),
        (
            *(
                "FROM ",
                "FROM --a ",
                "--a ",
                " ",
                "a",
                "image: ",
                "image:",
                "image",
                "$ ",
                "- ",
                "# ",
                "&&",
                "//",
                "||",
                ";",
                "> ",
            ),
            *(
                "A ",
                "AS ",
                "docker pull ",
                "/",
                ":",
                "@",
                "\u200b",
                "\ufdfa",
                "\n",
                " --image ",
                "--image=",
                "'",
                '"',
                "image'",
                "{",
            ),
            *("sudo ", "- - ", "$ - ", "imageimage", " //", " a", "docker://", "http://", "a:", "a@"),
        ),
        ("", "FROM ", "docker run ", "$ "),
        ("", "!", " x", " AS a"),
        long=LONGEST,
    ),
    "pasted file": Parser(
        lambda text: [rewrite(text, _RENAMING, name, 1000) for name in ("", "Dockerfile", "a.yaml", "a.sh")],
        (
            *(
                "${",
                "${a:-",
                "$(",
                "{{",
                "{{}}",
                "{{ }} ",
                "a: {",
                "- ",
                "image: nginx\n",
                "image: ",
                "image",
                "image   ",
            ),
            *('"', "'", "\\", "\\\n", "`", "FROM a\n", "FROM a \\\n", "ARG a=b\n", "COPY --from=", "RUN <<a\n", "a;"),
            *("docker run ", "docker pull a\n", "$(docker pull a)", "- image: &a x\n", "- *a\n", "[a, ", "{image: "),
            *("images:\n- name: a\n  newTag: b\n", "{name: a, newTag: b}, ", "#", "# syntax=a\n", "a\n", "\r", "\t"),
            *("\n", "x=docker-image://", "--image=a ", "? ", "&a ", "|\n a\n", "run: |\n docker pull a\n", "a=b "),
            *("--mount=from=a,", "@", "/", ":", "\u2028", '"\\', "\"a'", "$", 'docker pull "', "docker -a", '"image":'),
            *("image=\t", "<<", "helm oci://a ", "x: y\n", "docker tag a b\n", "image: |\n", "a: 'x\n\n", "<<: *a\n"),
            *("https://github.com/a/b/pkgs/container/%2F ", "kubectl set image a=b ", "FROM ${a}\n", "services: ["),
        ),
        ("", "images:\n"),
        ("",),
    ),
    "CONNECT": Parser(
        lambda text: (_decided(text), _NOT_A_PHRASE.sub("?", text)),
        ("a", ".", ":", "1", "[", "]", "@", "-", "_", "%", "é", "\x00", "a.", "::", "443", ":443"),
        ("", "[", "a:", "[::"),
        ("", "!", ":443", "]:443", ".:443"),
    ),
    "image": Parser(
        lambda text: parse_image(Config().names, text), ("a", "/", ":", "@", ".", "sha256:"), ("", "a@sha256:")
    ),
    "ClientHello": Parser(
        _hello,
        ("\x16\x03\x01\x00\x00", "\x16\x03\x01\x00\x01\x01", "\x01", "\x00", "\xff", "\x16"),
        ("", "\x16\x03\x01\x40\x00", "\x16\x03\x01\x00\x01\x01", "\x16\x03\x01\x1f\x00\x01\x00\x1e\x00"),
        ("",),
    ),
    # Both, on their way to a log
    "what is logged": Parser(
        lambda text: (redacted(text), escaped(text)),
        (
            *(
                "@",
                "?",
                "=",
                "//",
                "%3d",
                "'",
                '"',
                "authorization",
                "authorization ",
                "bearer",
                "bearer ",
                "basic",
                "eyJ",
            ),
            *(
                "a",
                "A",
                ".",
                " ",
                ":",
                "/",
                "-",
                "sig",
                "token",
                "token=",
                "token =",
                "secret ",
                "_state",
                "sigsigna",
            ),
            *(
                "apikey",
                "https://",
                "a:b@",
                "signature",
                "\r",
                "credential",
                "pass",
                "password ",
                "eyJaaaaa.",
                "a.token",
            ),
            *("siga", "Bearer A", "bearer\t", "token' ", "\u2028"),
        ),
        ("", "bearer ", "?", "//a", "eyJaaaaa.", "authorization", "token", "a="),
        ("", "!", "@", "=", "?a=1", "'"),
    ),
    "a target that is logged": Parser(
        redacted_target,
        ("&", "a", "=", "%", "%4", "n=", "&n=%41", "/", "?", "@", ":", "&a=b"),
        ("", "/v2?", "?n="),
        ("", "!"),
    ),
    "Cache-Status": Parser(lambda text: cache_state(text), (";", " ", "a;", "hit")),
}

OPERATOR = "what the operator or the environment says"

# Every regular expression of the package, and the row that shows how it behaves.
EXPRESSIONS = {
    "acme.jws._BASE64URL": "a CA's nonce",
    "acme.renewal._TIMESTAMP": "a CA's time",
    "config.clients._BCRYPT": OPERATOR,
    "config.key._CODE": OPERATOR,
    "config.key._LINK": OPERATOR,
    "config.table._PLACE": OPERATOR,
    "oci.digests._HEX": "digest",
    "oci.media_types._CHARSET": "Content-Type",
    "oci.media_types._JSON_TYPE": "Content-Type",
    "oci.media_types._MEDIA_TYPE": "Content-Type",
    "oci.names._HOST_LABEL": "registry",
    "oci.names._NAME": "repository",
    "oci.names._NUMBER": "registry",
    "oci.names._OF_DIGEST": "reference",
    "oci.names._TAG": "reference",
    "oci.platforms._NAMED": "platform",
    "oci.platforms._PART": "platform",
    "oci.routes._ENDPOINT": "path",
    "oci.routes._PLAIN": "path",
    "oci.routes._UPLOADS": "path",
    "policy.challenges._EQUALS": "WWW-Authenticate",
    "policy.challenges._SCHEME": "WWW-Authenticate",
    "policy.challenges._SEPARATOR": "WWW-Authenticate",
    "policy.challenges._TOKEN": "WWW-Authenticate",
    "policy.challenges._TOKEN68": "WWW-Authenticate",
    "policy.clients._WRITTEN": "X-Forwarded-For",
    "policy.endpoints._PORT": OPERATOR,
    "policy.fields._PLAIN": "Link",
    "policy.external_address._HOST": "Host",
    "policy.external_address._PORT": "Host",
    "policy.headers._VISIBLE": "what passes of a header",
    "policy.links._NAME": "Link",
    "policy.links._SPACE": "Link",
    "policy.links._TARGET": "Link",
    "policy.links._VALUE": "Link",
    "policy.pasted_text._COMMENT": "pasted text",
    "policy.pasted_text._FIELD": "pasted text",
    "policy.pasted_text._FLAG": "pasted text",
    "policy.pasted_text._FROM": "pasted text",
    "policy.pasted_text._PROMPT": "pasted text",
    "policy.pasted_text._SWITCH": "pasted text",
    "policy.pasted_text._TRANSPORT": "pasted text",
    "policy.rewriting.dockerfile._DIRECTIVE": "pasted file",
    "policy.rewriting.dockerfile_words._HERE": "pasted file",
    "policy.rewriting.dockerfile_words._WORD": "pasted file",
    "policy.rewriting.kinds._DIRECTIVE": "pasted file",
    "policy.rewriting.kinds._DOCKERFILE": "pasted file",
    "policy.rewriting.kinds._INSTRUCTION": "pasted file",
    "policy.rewriting.plain_lines._CONTEXT": "pasted file",
    "policy.rewriting.plain_lines._FIELD": "pasted file",
    "policy.rewriting.plain_lines._LINE": "pasted file",
    "policy.rewriting.plain_lines._NAME": "pasted file",
    "policy.rewriting.plain_lines._WORD": "pasted file",
    "policy.rewriting.shell_words._BLANK": "pasted file",
    "policy.rewriting.shell_words._COMMENT": "pasted file",
    "policy.rewriting.shell_words._DOUBLE": "pasted file",
    "policy.rewriting.shell_words._END": "pasted file",
    "policy.rewriting.shell_words._LETTERS": "pasted file",
    "policy.rewriting.shell_words._SINGLE": "pasted file",
    "policy.rewriting.shell_words._SUBSTITUTION": "pasted file",
    "policy.rewriting.variables._NAME": "pasted file",
    "policy.proxies._BYPASSED": OPERATOR,
    "policy.proxies._PORTED": OPERATOR,
    "policy.proxies._SCHEME": OPERATOR,
    "policy.proxies._SEPARATORS": OPERATOR,
    "policy.units._DURATION": OPERATOR,
    "policy.units._FREQUENCY": OPERATOR,
    "policy.units._SIZE": OPERATOR,
    "policy.quotas._FIELD": "ratelimit",
    "policy.ranges._CONTENT_RANGE": "Content-Range",
    "policy.ranges._ONE": "Range",
    "policy.redirects._CONTROL": "Location",
    "policy.redirects._RAW": "Location",
    "policy.redaction._AFTER_SLASHES": "what is logged",
    "policy.redaction._AUTHORIZATION": "what is logged",
    "policy.redaction._HARMLESS_VALUE": "a target that is logged",
    "policy.redaction._JWT": "what is logged",
    "policy.redaction._NAMED": "what is logged",
    "policy.redaction._PARAMETER": "a target that is logged",
    "policy.redaction._QUERY": "what is logged",
    "policy.redaction._SCHEME": "what is logged",
    "policy.redaction._SEGMENT": "what is logged",
    "policy.redaction._UNPRINTABLE": "what is logged",
    "policy.log_lines._SECRET_NAME": "name of a field that is logged",
    "policy.request_ids._BELIEVED": "X-Request-Id",
    "policy.request_ids._DESCRIPTION": "challenge of ours",
    "policy.scopes._SCOPE": "scope",
    "policy.urls._AUTHORITY": "URL",
    "policy.urls._PLAIN": "URL",
    "login.authentication._PORT": "Host",
    "policy.connecting._AUTHORITY": "CONNECT",
    "policy.setups.daemon_json._INDENTED": OPERATOR,
    "tls.client_hello._HOST": "ClientHello",
    "forward.connect._NOT_A_PHRASE": "CONNECT",
    "upstream.tunnel._STATUS_LINE": "status line of a proxy",
    "upstream.tunnel._UNPRINTABLE": "status line of a proxy",
    "web.page.preferences._WEIGHT": "Accept",
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """The least time that it takes to read this, or to refuse it: of this thread, whatever else the machine does."""
    least = float("inf")
    # As timeit does: the collector's share grows with all that there is, and not with the text.
    gc.disable()
    try:
        for _ in range(_RUNS):
            began = time.thread_time()
            with suppress(*_REFUSALS):
                read(text)
            least = min(least, time.thread_time() - began)
            if least <= _NOTHING:
                break
    finally:
        gc.enable()
    return least


def grows_too_fast(read: Callable[[str], object], before: str, pump: str, behind: str, long: int) -> str | None:
    """What is wrong with the time that ``read`` takes for more and more of ``pump``; None where nothing is."""
    times = max(_GROWTH, (long - len(before) - len(behind)) // len(pump))
    whole = seconds(read, before + pump * times + behind)
    if whole <= _NOTHING:
        return None
    part = seconds(read, before + pump * (times // _GROWTH) + behind)
    if whole <= part * _MOST:
        return None
    return f"{before!r} + {pump!r} * {times} + {behind!r}: {whole * 1000:.1f} ms, an eighth of it {part * 1000:.1f} ms"


@pytest.mark.security("S17")
@pytest.mark.parametrize("name", PARSERS)
def test_what_a_stranger_writes_is_read_in_a_time_that_grows_with_its_length(name: str) -> None:
    parser = PARSERS[name]
    for before, pump, behind in parser.families():
        # What is seen once, or twice, may be the machine's doing.
        complaints = [grows_too_fast(parser.read, before, pump, behind, parser.long)]
        while complaints[-1] is not None and len(complaints) < _TRIES:
            complaints.append(grows_too_fast(parser.read, before, pump, behind, parser.long))
        assert complaints[-1] is None, complaints


def test_an_expression_that_goes_back_again_and_again_is_found() -> None:
    """The one that a Link was read by, and the text that held it up."""
    once = re.compile(
        r'<([^<>"\s]*)>\s*;(?:[^,]*;)?\s*rel=(?:next|"(?:[^",]*\s)?next(?:\s[^",]*)?")\s*(?:[;,]|$)', re.IGNORECASE
    )
    # What is not seen once may be the machine's doing, too.
    assert any(grows_too_fast(once.search, "", 'rel=";<>;', "!", _LONG) for _ in range(_TRIES))


def test_every_regular_expression_is_in_the_table() -> None:
    assert dict(sorted(EXPRESSIONS.items())).keys() == dict(_expressions()).keys()
    assert set(EXPRESSIONS.values()) <= {*PARSERS, OPERATOR}


def test_none_is_hidden_in_a_function() -> None:
    """Where the table would not find it."""
    hidden = [found for path in Path(crproxy.__file__).parent.rglob("*.py") for found in _hidden(path)]
    assert hidden == []


def test_one_that_is_hidden_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        'import re\n_A = re.compile("a")\n\ndef f(x):\n    return re.sub("a+", "", x)\n'
        '\nclass B:\n    C = re.compile("c")\n'
    )
    assert _hidden(module) == ["module.py:5", "module.py:8"]


def _expressions() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for module in pkgutil.walk_packages(crproxy.__path__, "crproxy."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name.removeprefix('crproxy.')}.{name}", value


def _hidden(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    at_the_top = {id(node.value) for node in tree.body if isinstance(node, ast.Assign)}
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr != "escape"
        and not (node.func.attr == "compile" and id(node) in at_the_top)
    ]
