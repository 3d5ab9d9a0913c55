"""What tokens cost, from rates given as plain numbers: at the standard price and at the batch price. Pure.

Rates are US dollars per million tokens. Where no batch rates are known the batch price is half of the standard one,
as Anthropic's Message Batches have it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from batchyard.domain.usage import Usage

BATCH_SHARE = 0.5
"""Share of the standard price that a batch costs where no price list says otherwise
(platform.claude.com/docs/en/build-with-claude/batch-processing)."""
CACHE_READ_SHARE, CACHE_WRITE_SHARE, CACHE_WRITE_1H_SHARE = 0.1, 1.25, 2.0
"""Of the input rate, where only that is known (platform.claude.com/docs/en/build-with-claude/prompt-caching)."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens of each kind."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float

    @classmethod
    def of(
        cls,
        input: float,  # noqa: A002 the word of the price lists
        output: float,
        cache_read: float | None = None,
        cache_write: float | None = None,
        cache_write_1h: float | None = None,
    ) -> "Rates":
        """Return the rates; what is not given of the cache follows from the input's."""
        return cls(
            input,
            output,
            CACHE_READ_SHARE * input if cache_read is None else cache_read,
            CACHE_WRITE_SHARE * input if cache_write is None else cache_write,
            CACHE_WRITE_1H_SHARE * input if cache_write_1h is None else cache_write_1h,
        )

    def share(self, share: float) -> "Rates":
        """Return the rates times ``share``."""
        return Rates(
            share * self.input,
            share * self.output,
            share * self.cache_read,
            share * self.cache_write,
            share * self.cache_write_1h,
        )

    def cost(self, usage: Usage) -> float:
        """Return the US dollars of that many tokens."""
        short = max(0, usage.cache_write_tokens - usage.cache_write_1h_tokens)
        return (
            self.input * usage.input_tokens
            + self.output * usage.output_tokens
            + self.cache_read * usage.cache_read_tokens
            + self.cache_write * short
            + self.cache_write_1h * usage.cache_write_1h_tokens
        ) / _MILLION


@dataclass(frozen=True, slots=True)
class Price:
    """The two prices of a model."""

    standard: Rates
    batch: Rates

    @classmethod
    def of(cls, standard: Rates, batch: Rates | None = None) -> "Price":
        """Return both; without batch rates, half of the standard ones."""
        return cls(standard, standard.share(BATCH_SHARE) if batch is None else batch)


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars. ``unpriced`` counts answers of models without a known price: they are in neither sum."""

    standard: float = 0.0
    batch: float = 0.0
    unpriced: int = 0

    @property
    def saved(self) -> float:
        """What the batch price spares."""
        return self.standard - self.batch

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.standard + other.standard, self.batch + other.batch, self.unpriced + other.unpriced)


def cost(requests: int, usage: Usage, price: Price | None) -> Cost:
    """Return what these answers cost."""
    if price is None:
        return Cost(unpriced=requests)
    return Cost(price.standard.cost(usage), price.batch.cost(usage))


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum."""
    return sum(costs, Cost())
