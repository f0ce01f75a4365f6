"""What refers to an image: signatures, attestations, bills of materials.

Distribution specification, "Listing Referrers", and "Unavailable Referrers API"; cosign keeps its own under tags that
it makes of the digest.
"""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import MANIFEST_LIMIT, all_references
from ..oci.names import Repository, Tag, referrers_tag
from ..oci.routes import ReferrersRequest
from .collecting import collected
from .paging import next_query
from .pullthrough import PullThrough
from .reply import Asked

__all__ = ["referrers", "signature_tags"]

# Pages of a list at the most.
_PAGES = 20
_COSIGN = (".sig", ".att", ".sbom")


async def referrers(pullthrough: PullThrough, repository: Repository, digest: Digest) -> list[Digest | Tag]:
    """Return what to pull besides ``digest``: what is listed, or the tag that stands for the list.

    Raises:
        RegistryError: upstream refuses, or is not available.
    """
    try:
        return list(await _listed(pullthrough, repository, digest))
    except RegistryError as error:
        if error.status != 404:
            raise
        return [referrers_tag(digest)]


def signature_tags(digest: Digest) -> list[Tag]:
    """Return the tags of cosign's, which may or may not be there."""
    return [referrers_tag(digest, suffix) for suffix in _COSIGN]


async def _listed(pullthrough: PullThrough, repository: Repository, digest: Digest) -> list[Digest]:
    path, query = f"/v2/{repository.path}/referrers/{digest}", dict[str, str]()
    found: list[Digest] = []
    for _ in range(_PAGES):
        asked = Asked("GET", path, query=query)
        reply = await pullthrough.answer(repository, ReferrersRequest(repository.path, digest), asked)
        content = await collected(reply.body, MANIFEST_LIMIT, "the list of referrers is too long")
        found += [one.digest for one in all_references(content) if one.is_manifest]
        query = next_query(reply)
        if not query:
            break
    return found
