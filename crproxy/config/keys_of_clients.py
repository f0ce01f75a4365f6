"""Keys about this proxy and its clients: of each its type, what it means and what counts without it.

Meanings and defaults are in Markdown, as docs/configuration.md has them.
"""

from __future__ import annotations

from .key import Key, Kind

__all__ = ["CLIENT_KEYS"]

CLIENT_KEYS = (
    Key(
        "",
        "domain",
        Kind.TEXT,
        "the name that clients know this proxy by; requests for any Host but this one and the aliases are answered 421",
        "none: every Host is answered",
    ),
    Key(
        "",
        "certs",
        Kind.FILE,
        "a directory of files `NAME.pem`, each with a key and its chain, for the names that their "
        "certificates have; they win over what a CA issues, and a replaced one is used within seconds",
        "none",
    ),
    Key(
        "",
        "data_dir",
        Kind.FILE,
        "where the cache, its index, keys and certificates are; processes may share it",
        "systemd's `STATE_DIRECTORY`, else the user's data directory",
    ),
    Key(
        "",
        "workers",
        Kind.WORKERS,
        '[processes that serve clients](operations.md#more-than-one-core); `"auto"` is one for each core',
        "`1`",
    ),
    Key(
        "",
        "default_registry",
        Kind.TEXT,
        'the registry of images that name none; `""` refuses them',
        '`"docker.io"`',
    ),
    Key(
        "listen",
        "http",
        Kind.ENDPOINTS,
        "a list of [Twisted "
        "endpoints](https://docs.twisted.org/en/stable/core/howto/endpoints.html#servers): "
        "`tcp:5000:interface=192.0.2.10`, `unix:/run/crproxy.sock`, `systemd:domain=INET:index=0`",
        '`["tcp:5000:interface=127.0.0.1"]`, with a domain `["tcp:80"]`',
    ),
    Key(
        "listen",
        "https",
        Kind.ENDPOINTS,
        "the same, for TLS; `[]` is none, and then images are served on `http`",
        'with a domain `["tcp:443"]`, otherwise none',
    ),
    Key(
        "listen",
        "plain_http",
        Kind.CHOICE,
        'what is answered on `http` where there is `https`: `"redirect"` sends clients there, `"serve"` '
        "answers them, too. What a CA looks for is answered in any case",
        '`"redirect"`',
        choices=("redirect", "serve"),
    ),
    Key(
        "listen",
        "grace",
        Kind.DURATION,
        "how long transfers that are under way have to finish when the daemon is told to stop",
        '`"20s"`',
    ),
    Key(
        "listen",
        "admin",
        Kind.TEXT,
        'an endpoint for [the operator](operations.md#the-admin-socket); `""` is none',
        "`admin.sock` in `data_dir`, mode 0660",
    ),
    Key(
        "listen",
        "trusted_proxies",
        Kind.NETWORKS,
        "the networks of proxies in front of this one: from them `X-Forwarded-For` says who the client is, "
        "and so does the header of the PROXY protocol, which endpoints expect that begin with `haproxy:`, "
        "such as `haproxy:tcp:443`",
        "`[]`, nobody is believed",
    ),
    Key(
        "access",
        "registries",
        Kind.TEXTS,
        'the registries that are served, by name; `"*"` is every public one and those with a table of their own',
        '`["*"]`',
    ),
    Key(
        "access",
        "allow",
        Kind.TEXTS,
        "a list of images that are served; where there are any, no others are",
        "`[]`",
    ),
    Key(
        "access",
        "deny",
        Kind.TEXTS,
        "a list of images that are not",
        "`[]`",
    ),
    Key(
        "access",
        "allow_file",
        Kind.FILE,
        "a file that adds to `allow`: one image a line, `#` begins a comment; tens of thousands are no matter",
        "none",
    ),
    Key(
        "access",
        "deny_file",
        Kind.FILE,
        "such a file of images that are not served",
        "none",
    ),
    Key(
        "access",
        "deny_digests_file",
        Kind.FILE,
        "a file of digests that nobody is served, be they images or parts of them, kept or not: one a line, `#` begins "
        "a comment. It is read again within seconds when it changes, without a reload, and wins over "
        "[everything else](policy.md#digests-that-are-denied)",
        "none",
    ),
    Key(
        "access",
        "tags",
        Kind.BOOLEAN,
        "whether lists of tags are served; `false` answers an empty one without asking upstream",
        "`true`",
    ),
    Key(
        "access",
        "message",
        Kind.TEXT,
        "what a client is told that asks for another one, such as whom to ask",
        "how to get it onto the list",
    ),
    Key(
        "clients",
        "htpasswd",
        Kind.FILE,
        "a file of users and their passwords, as `crproxy user add` and `htpasswd -B` write it; with it nobody is "
        "served who does not [log in](operations.md#who-can-reach-it)",
        "none: everybody is",
    ),
    Key(
        "clients",
        "token_ttl",
        Kind.DURATION,
        'how long a token lasts that a client gets for its password; from `"60s"` to `"1h"`',
        '`"5m"`',
    ),
    Key(
        "clients",
        "privileged",
        Kind.NETWORKS,
        'networks, such as `"192.0.2.0/24"`, whose clients are served everything, and to whom no limit applies',
        "`[]`",
    ),
    Key(
        "clients",
        "privileged_login",
        Kind.BOOLEAN,
        "whether they log in as everybody does",
        "`true`",
    ),
    Key(
        "clients",
        "privileged_images",
        Kind.TEXTS,
        "images that are served to everybody, whatever `[access]` says",
        "`[]`",
    ),
    Key(
        "clients",
        "admins",
        Kind.TEXTS,
        "users of the `htpasswd` file whom [the operator's page](operations.md#the-operators-page) at `/admin` lets "
        "in, by TLS or from this machine; where there are none there is no such page",
        "`[]`",
    ),
    Key(
        "limits",
        "per_transfer",
        Kind.RATE,
        'how fast one answer\'s body is sent, such as `"20M/s"`',
        "no limit",
    ),
    Key(
        "limits",
        "per_client",
        Kind.RATE,
        "how fast all that go to one client are together",
        "no limit",
    ),
    Key(
        "limits",
        "total",
        Kind.RATE,
        "how fast all that go to clients are together",
        "no limit",
    ),
    Key(
        "limits",
        "upstream",
        Kind.RATE,
        "how fast blobs, and lists of tags, come from all upstreams together; manifests do not count",
        "no limit",
    ),
    Key(
        "limits",
        "requests_per_client",
        Kind.FREQUENCY,
        'how often one client may ask: `"50/s"`, `"600/m"` or `"1000/h"`, all at once, too',
        "no limit",
    ),
    Key(
        "limits",
        "connections_per_client",
        Kind.WHOLE,
        "how many connections it may have; as many again are answered 429, and more are closed. Trusted "
        "proxies may have any number. [File descriptors](operations.md#file-descriptors) may allow less",
        "`512`",
    ),
    Key(
        "limits",
        "fills_per_client",
        Kind.WHOLE,
        "how many blobs, and ranges of them that are passed through (all of one request count as one), are "
        "fetched at a time that one client was the first to ask for; what is kept goes on when it leaves",
        "`128`",
    ),
    Key(
        "limits",
        "fills_per_upstream",
        Kind.WHOLE,
        "how many are from one registry",
        "`512`",
    ),
    Key(
        "acme",
        "directory",
        Kind.TEXT,
        'the CA: `"letsencrypt"`, `"letsencrypt-staging"`, the URL of a directory, or `"none"`',
        '`"letsencrypt"`',
    ),
    Key(
        "acme",
        "email",
        Kind.TEXT,
        "where the CA writes to about the account",
        "none",
    ),
    Key(
        "acme",
        "challenge",
        Kind.CHOICE,
        'how names are shown to be ours: `"http-01"` on port 80, or `"tls-alpn-01"` on port 443 alone',
        '`"http-01"`',
        choices=("http-01", "tls-alpn-01"),
    ),
    Key(
        "acme",
        "eab_key_id",
        Kind.TEXT,
        "the account at the CA that ours is bound to, where it wants that",
        "none",
    ),
    Key(
        "acme",
        "eab_hmac_file",
        Kind.FILE,
        "a file with the key that goes with it, in base64url",
        "none",
    ),
    Key(
        "acme",
        "ca_file",
        Kind.FILE,
        "a file of certificates in PEM by which the CA's own server is trusted, in place of the system's",
        "the system's",
    ),
    Key(
        "page",
        "redirect",
        Kind.TEXT,
        "the URL that people are sent to instead",
        "none: they see the page",
    ),
    Key(
        "page",
        "state",
        Kind.BOOLEAN,
        "whether the page tells everybody how this proxy is doing: how much comes from the cache, which "
        "registries are up, each of their endpoints by its URL where there are several, which certificates "
        "it has until when, and which nodes a fleet has, by name, and whether Valkey and the object store "
        "are up",
        "`false`",
    ),
)
