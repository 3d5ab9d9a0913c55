"""What the core asks of a price list."""

from collections.abc import Collection, Mapping
from typing import Protocol

from batchyard.domain.pricing import Price


class Prices(Protocol):
    """A price list."""

    async def of(self, models: Collection[str]) -> Mapping[str, Price | None]:
        """Return the price of each of these models, by the names that clients use; None where none is known."""
