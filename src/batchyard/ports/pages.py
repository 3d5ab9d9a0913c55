"""A page of a list of batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchyard.domain.batch import Batch


@dataclass(frozen=True, slots=True)
class Page:
    """Batches newest first; ``has_more`` in the direction of travel."""

    batches: Sequence[Batch]
    has_more: bool
