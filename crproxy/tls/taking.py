"""Certificates that another worker gets from the CA: taken up as they are kept, and as it tells of them."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.application.service import Service
from twisted.logger import Logger

from ..sharing import Sharing
from .certificates import BadCertificate, Certified
from .storage import CertificateStorage
from .table import Table

__all__ = ["ISSUED", "Taker", "take_kept"]

_log = Logger("crproxy.tls")

# What is told of each certificate: the name, and key and chain in PEM.
ISSUED = "certificate issued"


class Taker(Service):
    """Takes up certificates while it runs.

    Arguments:
        storage: where they are kept.
        table: where they are shown.
        sharing: tells of new ones.
    """

    def __init__(self, storage: CertificateStorage, table: Table, sharing: Sharing) -> None:
        self._storage = storage
        self._table = table
        sharing.on(ISSUED, self._issued)

    def startService(self) -> None:
        """Take up what is kept (IService)."""
        super().startService()
        self.take_up(self._table.names)

    def take_up(self, names: Iterable[str]) -> None:
        """Show what is kept for these names, where nothing is shown for them yet."""
        for name in names:
            if self._table.certificate(name) is None:
                take_kept(name, self._storage, self._table)

    def _issued(self, issued: tuple[str, bytes]) -> None:
        name, pem = issued
        self._table.issue(name, Certified.from_pem(pem))


def take_kept(name: str, storage: CertificateStorage, table: Table) -> Certified | None:
    """Show the certificate that is kept for ``name``, and return it; None where there is none that can be used."""
    try:
        certified = storage.load(name)
    except (OSError, BadCertificate) as error:
        _log.error("the kept certificate of {name} cannot be used: {error}", name=name, error=error)
        return None
    if certified is not None:
        table.issue(name, certified)
    return certified
