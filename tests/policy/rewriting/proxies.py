"""A proxy that names are rewritten for."""

from __future__ import annotations

from crproxy.config import Config
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.external_address import external_address
from crproxy.policy.pull_commands import PullMethod
from crproxy.policy.rewriting import Renaming
from crproxy.policy.routing import Names

DOMAIN = "cr.example.com"
ALIASES = {"docker.io": f"docker.{DOMAIN}", "quay.io": f"quay.{DOMAIN}"}
NAMES = Names(DOMAIN, {f"docker.{DOMAIN}": DOCKER_HUB, f"quay.{DOMAIN}": Registry("quay.io")})


def renaming(form: PullMethod = PullMethod.PREFIX, config: Config | None = None, host: str = DOMAIN) -> Renaming:
    """How it writes names."""
    config = config or Config(NAMES)
    return Renaming(external_address(config.names, host, secure=True), config.serves(), form)
