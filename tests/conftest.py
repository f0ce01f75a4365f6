from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stores import close_indexes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def closed_indexes() -> Iterator[None]:
    yield
    close_indexes()
