from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import Registry
from crproxy.peers.addresses import key_in, path_of
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry

REGISTRIES = st.none() | st.sampled_from(["docker.io", "quay.io", "registry.test:5000", "[::1]:5000"]).map(
    Registry.parse
)
DIGESTS = st.binary().map(Digest.of)


@given(st.builds(PartialKey, st.builds(Entry, DIGESTS, REGISTRIES), REGISTRIES))
def test_it_is_read_as_it_was_written(key: PartialKey) -> None:
    url = urlsplit(path_of(key))
    assert url.path.startswith("/blobs/")
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert key_in(url.path.removeprefix("/blobs/"), query) == key


@pytest.mark.parametrize(
    ("digest", "query"),
    [("latest", {}), (str(Digest.of(b"")), {"pool": "a b"}), (str(Digest.of(b"")), {"origin": "/"})],
)
def test_what_is_no_address_is_refused(digest: str, query: dict[str, str]) -> None:
    with pytest.raises(RegistryError):
        key_in(digest, query)
