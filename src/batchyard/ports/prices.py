"""What the core asks of a price list, and of those who watch what is spent."""

from collections.abc import Collection, Mapping
from typing import Protocol

from batchyard.domain.pricing import Price
from batchyard.domain.request import Drafts


class Prices(Protocol):
    """A price list."""

    async def of(self, models: Collection[str]) -> Mapping[str, Price | None]:
        """Return the price of each of these models, by the names that clients use; None where none is known."""


class Spending(Protocol):
    """What workspaces may spend."""

    async def check(self, workspace: str, drafts: Drafts) -> None:
        """Raise ``RateLimited`` where the workspace has spent what it may, or these requests cost more than is left."""
