"""What the configuration says of other nodes: what they have in common, and where they meet."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Fleet", "Storage", "ValkeyAddress"]


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where Valkey, or Redis, is, and how it is entered.

    Arguments:
        host, port: empty and 0 where it is a Unix socket.
        path: of that.
        tls: it is spoken to in TLS.
        database: which of its numbered ones.
        username, password: of an ACL, or the password alone.
        authorities: certificates, in PEM, that it is trusted by, in place of the system's.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return it as a log may have it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Other nodes, and where they meet.

    Arguments:
        valkey: where that is.
        advertise: the URL at which other nodes reach this one; scheme, host and port.
        listen: where that is served: Twisted's endpoint strings.
        secret: what all nodes know and nobody else, 32 bytes or more.
        name: what this one is called.
        prefix: begins every key in Valkey.
    """

    valkey: ValkeyAddress
    advertise: str
    listen: tuple[str, ...]
    secret: str = field(repr=False)
    name: str
    prefix: str = "crproxy"


@dataclass(frozen=True, slots=True)
class Storage:
    """The object store that several nodes have in common.

    Arguments:
        url: which one, and what its keys begin with; ``s3``, ``gs``, ``az`` or ``file``, without a trailing slash.
        endpoint: URL of an S3 server that is not Amazon's.
        region: that S3's requests are signed for; None is the environment's.
        access_key_id, secret_access_key: of S3; None takes what the environment has, or the machine's role.
        size: bytes that it may have in all; None is no bound.
        redirect: whether clients are sent to the store's own URLs for blobs.
        redirect_ttl: seconds that such a URL lasts.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    size: int | None = None
    redirect: bool = False
    redirect_ttl: float = 600.0

    @property
    def kind(self) -> str:
        """Which kind of store: ``s3``, ``gs``, ``az`` or ``file``."""
        return self.url.partition(":")[0]
