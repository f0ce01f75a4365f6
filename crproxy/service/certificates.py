"""The certificates of a daemon, put together; where there is TLS alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..sharing import Sharing
from ..upstream.agent import Clients
from ..upstream.connecting import Reach
from .commons import Commons
from .current_configuration import Configuration

if TYPE_CHECKING:
    from ..tls.certifying import Certificates

__all__ = ["make_certificates"]


def make_certificates(
    configuration: Configuration,
    clients: Clients,
    reactor: Any,
    now: Callable[[], float],
    sharing: Sharing,
    commons: Commons,
) -> Certificates:
    """Return them, for the names of the configuration as it is now, and from then on."""
    # Its libraries take a fifth of a second and 10 MiB, which a proxy without TLS need not spend.
    from ..tls.certifying import Certificates, names_of

    certificates = Certificates(
        configuration(),
        lambda: clients.reaching(Reach.of_ca(configuration())),
        reactor,
        now=now,
        sharing=sharing,
        membership=None if commons.fleet is None else commons.fleet.membership,
    )
    configuration.changed.append(lambda changed: certificates.rename(names_of(changed)))
    return certificates
