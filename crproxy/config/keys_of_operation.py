"""Keys about logs, monitoring, a fleet and the HTTP proxy: of each its type, meaning, and what counts without it.

Meanings and defaults are in Markdown, as docs/configuration.md has them.
"""

from __future__ import annotations

from .key import Key, Kind

__all__ = ["OPERATION_KEYS"]

OPERATION_KEYS = (
    Key(
        "audit",
        "file",
        Kind.FILE,
        "has [a line for each request](operations.md#who-asked-for-what), added at its end; made with mode "
        "0640, its directory must be there",
        "the daemon's own log",
    ),
    Key(
        "audit",
        "format",
        Kind.CHOICE,
        'of a line in it: `"json"`, or `"combined"` as Apache writes it. In the daemon\'s own log a line is '
        "a combined one",
        '`"json"`, where there is a file',
        choices=("json", "combined"),
    ),
    Key(
        "log",
        "level",
        Kind.CHOICE,
        'what is in it: `"debug"`, `"info"`, `"warning"` or `"error"`, and what is worse. From `"warning"` on it has '
        "no lines for requests: give [`[audit]`](#audit) a file",
        '`"info"`',
        choices=("debug", "info", "warning", "error"),
    ),
    Key(
        "log",
        "format",
        Kind.CHOICE,
        'of a line: `"text"`, or `"json"`, an object',
        '`"text"`',
        choices=("text", "json"),
    ),
    Key(
        "admin",
        "listen",
        Kind.TEXT,
        "an endpoint of loopback's or a Unix socket, such as `tcp:5080:interface=127.0.0.1`",
        "none",
    ),
    Key(
        "metrics",
        "listen",
        Kind.TEXT,
        "an endpoint, such as `tcp:9091:interface=127.0.0.1`",
        "none",
    ),
    Key(
        "fleet",
        "valkey",
        Kind.URL,
        "where the nodes meet: `redis://valkey:6379/0`, `rediss://valkey` with TLS, "
        "`unix:///run/valkey.sock?db=0`; `valkey://` and `valkeys://` are the same. With a login, "
        "`redis://name:password@valkey`, or `redis://:password@valkey`",
        "none: there is no fleet",
    ),
    Key(
        "fleet",
        "valkey_password_file",
        Kind.FILE,
        "a file with the password, in place of one in the URL",
        "none",
    ),
    Key(
        "fleet",
        "valkey_ca_file",
        Kind.FILE,
        "certificates, in PEM, that its TLS is trusted by",
        "the system's",
    ),
    Key(
        "fleet",
        "advertise",
        Kind.TEXT,
        "the URL at which other nodes reach this one, such as `https://10.0.0.5:5443`",
        "none: it has to be said",
    ),
    Key(
        "fleet",
        "listen",
        Kind.ENDPOINTS,
        'the endpoints for them, such as `["tcp:5443:interface=10.0.0.5"]`',
        "`tcp:` and the port of `advertise`",
    ),
    Key(
        "fleet",
        "secret_file",
        Kind.FILE,
        "a file with 32 bytes or more that only the nodes know, the same on each: `openssl rand -hex 32` writes one",
        "none: it has to be said",
    ),
    Key(
        "fleet",
        "name",
        Kind.TEXT,
        "what this node is called; each needs another",
        "host and port of `advertise`",
    ),
    Key(
        "fleet",
        "prefix",
        Kind.TEXT,
        "what every key in Valkey begins with: fleets that share a Valkey need different ones",
        '`"crproxy"`, for one fleet',
    ),
    Key(
        "proxy",
        "listen",
        Kind.ENDPOINTS,
        'a list of endpoints, such as `["tcp:3128"]`, as under [`[listen]`](#listen), but for those that '
        "begin with `haproxy:`",
        "`[]`: there is no HTTP proxy",
    ),
    Key(
        "proxy",
        "listen_tls",
        Kind.ENDPOINTS,
        "the same, with TLS between a client and the proxy, by the certificate of `domain`",
        "`[]`",
    ),
    Key(
        "proxy",
        "registries",
        Kind.TEXTS,
        'registries that are answered, by their full names, such as `["registry.example.com"]`, besides '
        "those that have an alias, a table under `[upstreams]` or are the `default_registry`",
        "`[]`",
    ),
    Key(
        "proxy",
        "tunnel",
        Kind.TEXTS,
        'hosts whose bytes are passed through as they are, such as `["example.com", "*.example.com"]`: '
        "port 443 alone, at public addresses alone. The second is all that is below, and not the name "
        "itself",
        "`[]`",
    ),
    Key(
        "proxy",
        "tunnel_idle",
        Kind.DURATION,
        "after how long a connection to one of them ends on which nothing is sent",
        '`"5m"`',
    ),
)
