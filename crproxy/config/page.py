"""What people see who open this proxy in a browser, as the configuration says it."""

from __future__ import annotations

from ..policy.urls import origin_of
from .table import Table
from .values import Page

__all__ = ["read_page"]


def read_page(table: Table) -> Page:
    """Return what ``[page]`` says. Raises ConfigError."""
    redirect = table.string("redirect") or None
    if redirect is not None and origin_of(redirect) is None:
        table.fail("redirect", f"{redirect!r} is no place to send people to: write a URL such as https://example.com/")
    page = Page(redirect, state=table.boolean("state", False))
    table.refuse_the_rest()
    return page
