"""Keys about upstreams and what is kept: of each its type, what it means and what counts without it.

Meanings and defaults are in Markdown, as docs/configuration.md has them.
"""

from __future__ import annotations

from .key import Key, Kind

__all__ = ["UPSTREAM_KEYS"]

UPSTREAM_KEYS = (
    Key(
        "upstreams.*",
        "endpoint",
        Kind.UPSTREAM,
        "the URL of the registry. Plain `http://`, addresses, names such as `registry.internal` that each "
        "network has of its own, and what is not public are asked only if they are written here. Several "
        "are [a list](#several-endpoints-for-one-registry)",
        "`https://NAME`, for Docker Hub `https://registry-1.docker.io`",
    ),
    Key(
        "upstreams.*",
        "username",
        Kind.TEXT,
        "for the registry's login; goes with one of the next two",
        "none",
    ),
    Key(
        "upstreams.*",
        "password",
        Kind.SECRET,
        "the password itself",
        "none",
    ),
    Key(
        "upstreams.*",
        "password_file",
        Kind.FILE,
        "a file that holds it; one line break at its end is not part of it",
        "none",
    ),
    Key(
        "upstreams.*",
        "retries",
        Kind.WHOLE,
        "how many attempts may follow one that failed",
        "`3`",
    ),
    Key(
        "upstreams.*",
        "private_hosts",
        Kind.TEXTS,
        "further hosts, such as those of its token service or its blobs, that may have addresses which are "
        "not public, and be asked at any port; the host of a written `endpoint` may anyway",
        "`[]`",
    ),
    Key(
        "upstreams.*",
        "token_hosts",
        Kind.TEXTS,
        "hosts of another domain whose token services may be given the username and password, and be asked at any port",
        "`[]`",
    ),
    Key(
        "upstreams.*",
        "ca_file",
        Kind.FILE,
        "a file of certificates in PEM by which the endpoint's host and the `private_hosts` are trusted, "
        "in place of the system's",
        "the system's",
    ),
    Key(
        "upstreams.*",
        "proxy",
        Kind.URL,
        "the HTTP proxy that all of this registry's hosts are reached through: `http://HOST:PORT` or "
        '`http://USER:PASSWORD@HOST:PORT`; `""` is none',
        "what the environment says",
    ),
    Key(
        "upstreams.*",
        "keepalive",
        Kind.BOOLEAN,
        "whether connections are kept for the next request",
        "`true`",
    ),
    Key(
        "upstreams.*",
        "connections",
        Kind.WHOLE,
        "over how many connections at the most one large blob comes, where a single one is slow; from `1`, "
        "which is one after the other, to `16`",
        "`4`",
        least=1,
        most=16,
    ),
    Key(
        "upstreams.*",
        "redirect_blobs",
        Kind.BOOLEAN,
        "whether clients are sent to where the registry itself redirects for a blob, such as its CDN, in "
        "place of being sent the blob: less to carry, and nothing of it is kept, checked or limited here. "
        "What is kept already is served; what the registry sends itself is carried",
        "`false`",
    ),
    Key(
        "upstreams.*",
        "passthrough",
        Kind.BOOLEAN,
        "whether clients log in to this registry with credentials of their own, at its alias; goes without "
        "a `username`",
        "`false`",
    ),
    Key(
        "cache",
        "size",
        Kind.SIZE,
        "how much may be on disk: contents, what is half fetched, and the index. What nobody fetches any "
        "more goes first, then what was not used for longest. A blob larger than this is passed through",
        '`"20G"`',
    ),
    Key(
        "cache",
        "tag_ttl",
        Kind.DURATION,
        "how long a tag counts without asking upstream",
        '`"60s"`',
    ),
    Key(
        "cache",
        "patience",
        Kind.DURATION,
        "how long upstream may think while something kept could be served: after that it is, with "
        "`Warning: 299`, and the question goes on behind it",
        '`"2s"`',
    ),
    Key(
        "cache",
        "stale_if_error",
        Kind.DURATION,
        "how long after it was last confirmed a tag is served while upstream cannot be asked",
        '`"30d"`',
    ),
    Key(
        "cache",
        "verify_every",
        Kind.DURATION_OR_OFF,
        "within how long each blob and manifest on disk is [read again](operations.md#the-cache) and "
        'checked against its digest; `"0"` or `"off"`: never',
        '`"30d"`',
    ),
    Key(
        "cache",
        "permission_ttl",
        Kind.DURATION,
        "how long a repository's content is served without asking, where the registry gave it to this "
        "proxy's own credentials",
        '`"1h"`',
    ),
    Key(
        "storage",
        "url",
        Kind.TEXT,
        'which one, and what its keys begin with: `"s3://BUCKET/PREFIX"`, `"gs://BUCKET/PREFIX"`, '
        '`"az://CONTAINER/PREFIX"`; `"file:///DIRECTORY"` to try it out, on a disk that all nodes see',
        "none: no second tier",
    ),
    Key(
        "storage",
        "endpoint",
        Kind.TEXT,
        'an S3 server that is not Amazon\'s: `"https://s3.example.com"`; `http://` is in the clear',
        "Amazon's of the region",
    ),
    Key(
        "storage",
        "region",
        Kind.TEXT,
        "of S3",
        "`AWS_REGION` of the environment, else `us-east-1`",
    ),
    Key(
        "storage",
        "access_key_id",
        Kind.TEXT,
        "of S3; gs and az take what they need from the environment (`GOOGLE_APPLICATION_CREDENTIALS`, "
        "`AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`)",
        "the environment's (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), else the role of the machine or the pod",
    ),
    Key(
        "storage",
        "secret_access_key_file",
        Kind.FILE,
        "a file with the key that goes with it, and nothing else",
        "the same",
    ),
    Key(
        "storage",
        "size",
        Kind.SIZE,
        "how much may be there, of all nodes together: what no node used for longest goes first, nothing "
        "that was used within the last hour. [The same on all nodes](fleet.md#the-store-within-its-size)",
        "none: nothing goes",
    ),
    Key(
        "storage",
        "redirect",
        Kind.BOOLEAN,
        "clients are sent to the store itself for blobs, by a URL that it signed",
        "`false`",
    ),
    Key(
        "storage",
        "redirect_ttl",
        Kind.DURATION,
        "how long such a URL lasts, 7d at the most",
        '`"10m"`',
    ),
    Key(
        "timeouts",
        "connect",
        Kind.DURATION,
        "until a TCP connection stands; a TLS handshake counts with the headers",
        '`"10s"`',
    ),
    Key(
        "timeouts",
        "headers",
        Kind.DURATION,
        "from the request until the answer's header is there",
        '`"30s"`',
    ),
    Key(
        "timeouts",
        "idle",
        Kind.DURATION,
        "between two pieces of a body, while the client is ready to take them",
        '`"60s"`',
    ),
    Key(
        "timeouts",
        "write",
        Kind.DURATION,
        "until a client takes something of an answer; one that does not is cut off, one that is merely slow is not",
        '`"2m"`',
    ),
)
