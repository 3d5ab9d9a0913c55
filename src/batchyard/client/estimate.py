"""What a job will take and cost, before anything of it is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from batchyard.client.limits import Part
from batchyard.client.prices import Cost, Prices
from batchyard.client.survey import Asked
from batchyard.client.tally import Tokens


@dataclass(frozen=True, slots=True)
class OfModel:
    """The share of one model. ``output_tokens`` are the most there can be, or what was said to be expected."""

    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost: Cost
    origin: str
    """Where the batch price is from, or "" where the model has no price."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole job. ``is_counted`` tells tokens that a server counted, on a sample, from estimated ones."""

    models: Sequence[OfModel]
    parts: Sequence[Part]
    is_counted: bool
    is_at_most: bool

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.models)

    @property
    def cost(self) -> Cost:
        return sum((one.cost for one in self.models), Cost())

    def scaled(self, requests: int) -> Cost:
        """Return the cost of so many requests like these."""
        share = Fraction(requests, self.requests)
        cost = self.cost
        return Cost(_times(cost.standard, share), _times(cost.batch, share), cost.unknown)


def saving(cost: Cost) -> str:
    """Return how much less a batch costs, in per cent of the standard price."""
    return f"{round(100 * (1 - cost.batch / cost.standard))} %" if cost.standard else "unknown"


def estimate(
    models: Mapping[str, Asked], parts: Sequence[Part], prices: Prices, output_tokens: int | None = None
) -> Estimate:
    """Return the estimate; ``output_tokens`` is what an answer is expected to have, else its ``max_tokens``."""
    each = []
    for model, asked in models.items():
        out = asked.max_tokens if output_tokens is None else asked.requests * output_tokens
        tokens = Tokens(asked.input_tokens, out, requests=asked.requests)
        price = prices.of(model, asked.input_tokens // asked.requests)
        cost, origin = prices.cost({model: tokens}), "" if price is None else price.origin
        each.append(OfModel(model, asked.requests, asked.input_tokens, out, cost, origin))
    is_counted = all(asked.is_counted for asked in models.values())
    return Estimate(each, parts, is_counted, output_tokens is None)


def _times(amount: Decimal, share: Fraction) -> Decimal:
    return amount * share.numerator / share.denominator
