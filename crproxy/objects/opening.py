"""obstore's stores, as the configuration names them: a library that is not there without the extra ``fleet``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from ..config import Storage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Remote

__all__ = ["Patience", "Stores", "open_stores"]

# Who asks goes elsewhere. A question is repeated once, for a connection that the store had closed just then.
_RETRIES = 1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the object store may take, in seconds.

    Arguments:
        connect: until a connection stands.
        idle: between two pieces of an answer, and until its header is there.
        upload: for all of a part that is uploaded: while that is sent, no answer can be expected.
    """

    connect: float = 2.0
    idle: float = 10.0
    upload: float = 60.0


@dataclass(frozen=True, slots=True)
class Stores:
    """One object store: as it is read, and as it is written, which takes another patience."""

    reading: Remote
    writing: Remote
    signs: bool = True


def open_stores(storage: Storage, patience: Patience | None = None) -> Stores:
    """Return the stores that ``storage`` names; nothing is asked of them yet.

    Raises:
        obstore.exceptions.BaseError: something is missing that the environment should have said.
    """
    patience = patience or Patience()
    if storage.kind == "file":
        local = LocalStore(urlsplit(storage.url).path, mkdir=True)
        return Stores(local, local, signs=False)
    connect = timedelta(seconds=patience.connect)
    reading: ClientConfig = {"connect_timeout": connect, "read_timeout": timedelta(seconds=patience.idle)}
    # What a range takes at the pace at which it does not idle is bounded, too.
    reading["timeout"] = timedelta(seconds=4 * patience.idle)
    writing: ClientConfig = {"connect_timeout": connect, "timeout": timedelta(seconds=patience.upload)}
    return Stores(_open(storage, reading), _open(storage, writing))


def _open(storage: Storage, client: ClientConfig) -> Remote:
    parts = urlsplit(storage.url)
    prefix = parts.path.strip("/") or None
    retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=5)}
    if storage.kind == "gs":
        return GCSStore(parts.netloc, prefix=prefix, client_options=client, retry_config=retries)
    if storage.kind == "az":
        return AzureStore(parts.netloc, prefix=prefix, client_options=client, retry_config=retries)
    if storage.endpoint is not None and storage.endpoint.startswith("http://"):
        client["allow_http"] = True
    else:
        # TLS sees to it that what is sent arrives; to hash it once more costs half of the processor's time.
        return S3Store(parts.netloc, **_s3(storage, prefix, client, retries), unsigned_payload=True)
    return S3Store(parts.netloc, **_s3(storage, prefix, client, retries))


def _s3(storage: Storage, prefix: str | None, client: ClientConfig, retries: RetryConfig) -> dict[str, Any]:
    said = {
        "endpoint": storage.endpoint,
        "region": storage.region,
        "access_key_id": storage.access_key_id,
        "secret_access_key": storage.secret_access_key,
    }
    known = {key: value for key, value in said.items() if value is not None}
    return {**known, "prefix": prefix, "client_options": client, "retry_config": retries}
