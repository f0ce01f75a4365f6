"""What people write on the command line, as types."""

from __future__ import annotations

import click

from ..oci.errors import RegistryError
from ..oci.names import Registry

__all__ = ["RegistryName"]


class RegistryName(click.ParamType[Registry]):
    """A registry, by its name."""

    name = "registry"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Registry:
        """Return the registry that ``value`` names."""
        try:
            return value if isinstance(value, Registry) else Registry.parse(str(value))
        except RegistryError as error:
            self.fail(error.message, param, ctx)
