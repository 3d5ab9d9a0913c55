"""A limit on what a job may cost: a batch is made only where even the most it can cost stays within."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from batchyard.client.errors import WrongUse
from batchyard.client.prices import Prices, in_dollars
from batchyard.client.survey import surveyed
from batchyard.client.tally import Tally

MARGIN = Decimal("1.25")
"""What the estimate of tokens in is multiplied with. Tokens out have ``max_tokens``, which no answer passes."""
CACHE_WRITE = 2
"""The most that writing to a cache costs, in times of a token in."""


class CostReached(WrongUse):
    """The next batch could pass the limit. What was created goes on, and is in the state of the job."""


@dataclass(frozen=True, slots=True)
class Budget:
    """``most`` is in US dollars, at the batch price."""

    most: Decimal
    prices: Prices

    def bound(self, lines: Iterable[tuple[int, bytes]], requests: int) -> Decimal:
        """Return the most that a batch of these request lines can cost; ``WrongUse`` where a model has no price."""
        total = Decimal(0)
        for model, asked in surveyed(lines, requests).items():
            price = self.prices.of(model, asked.input_tokens // asked.requests)
            if price is None:
                raise WrongUse(f"--max-cost needs the price of {model!r}: give --price '{model}=IN/OUT'")
            rate = price.batch.input * (CACHE_WRITE if asked.cached else 1)
            total += MARGIN * Decimal(asked.body_bytes * asked.most_per_byte) * rate
            total += asked.max_tokens * price.batch.output
        return total

    def spent(self, fetched: Tally) -> Decimal | None:
        """Return what these results cost; None where a server answered under a name that has no price."""
        cost = self.prices.cost(fetched.models)
        return cost.batch if cost.is_known else None

    def reached(self, spent: Decimal, bound: Decimal, requests: int) -> CostReached:
        """Return the words for a batch that does not fit."""
        return CostReached(
            f"--max-cost {in_dollars(self.most)} would be passed: {in_dollars(spent)} are spent, and the next batch "
            f"({requests:,} requests) can cost up to {in_dollars(bound)}. The same command with a higher --max-cost "
            "goes on, or with smaller batches (--batch-requests) where none was made"
        )
