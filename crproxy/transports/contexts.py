"""What a TLS context shows: a certificate and its key, from memory."""

from __future__ import annotations

import os
import ssl

__all__ = ["show"]


def show(context: ssl.SSLContext, pem: bytes) -> None:
    """Have ``context`` show the certificate that is in ``pem``, behind its key and in front of its chain.

    Raises:
        ssl.SSLError: they are no such things, or do not belong together.
    """
    # It reads files only; this one is in memory, and nobody else's.
    with os.fdopen(os.memfd_create("crproxy-certificate", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
