"""What tokens cost, at the standard and at the batch price: the user's own prices, else list prices with a date.

List prices are those of ``genai-prices``, from the copy that is installed; nothing is fetched. It is imported with the
first price, since it takes a third of the time in which a command starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache

from batchyard.client.errors import WrongUse
from batchyard.client.tally import Tokens

MILLION = Decimal(1_000_000)
HALF = "half of the standard price"
_SIZE = 1000
"""Tokens that a rate is asked for, where a request's own size is not known: below every tier."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a token of each kind."""

    input: Decimal
    output: Decimal
    cache_write: Decimal
    cache_read: Decimal

    def of(self, tokens: Tokens) -> Decimal:
        return (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_write * self.cache_write
            + tokens.cache_read * self.cache_read
        )

    def halved(self) -> "Rates":
        return Rates(self.input / 2, self.output / 2, self.cache_write / 2, self.cache_read / 2)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs. ``origin`` says where the batch price is from."""

    standard: Rates
    batch: Rates
    origin: str


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars. ``unknown`` are the models that have no price, which are not in the sums."""

    standard: Decimal = Decimal(0)
    batch: Decimal = Decimal(0)
    unknown: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        return not self.unknown

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.standard + other.standard, self.batch + other.batch, self.unknown | other.unknown)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by model; ``own`` are the user's, and go before the list's."""

    own: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str, request_tokens: int = _SIZE) -> Price | None:
        """Return the price of a model for requests of so many input tokens, or None where nobody knows it."""
        if model in self.own:
            return self.own[model]
        return _listed(model, max(request_tokens, 1))

    def cost(self, models: Mapping[str, Tokens]) -> Cost:
        """Return what these tokens cost, priced by the size of the average request of each model."""
        total = Cost()
        for model, tokens in models.items():
            price = self.of(model, tokens.total_input // max(tokens.requests, 1))
            if price is None:
                total += Cost(unknown=frozenset({model}))
            else:
                total += Cost(price.standard.of(tokens), price.batch.of(tokens))
        return total


def own_prices(texts: Iterable[str]) -> dict[str, Price]:
    """Return prices of ``MODEL=IN/OUT`` or ``MODEL=IN/OUT/BATCH_IN/BATCH_OUT``, in dollars for a million tokens."""
    own = {}
    for text in texts:
        model, _, figures = text.rpartition("=")
        try:
            numbers = [Decimal(figure) / MILLION for figure in figures.split("/")]
        except InvalidOperation:
            numbers = []
        if not model or len(numbers) not in (2, 4) or any(not number.is_finite() or number < 0 for number in numbers):
            raise ValueError(
                f"{text!r} is no price: write MODEL=IN/OUT or MODEL=IN/OUT/BATCH_IN/BATCH_OUT, "
                "in dollars for a million tokens"
            )
        standard = Rates(numbers[0], numbers[1], numbers[0], numbers[0])
        batch = Rates(numbers[2], numbers[3], numbers[2], numbers[2]) if len(numbers) == 4 else standard
        own[model] = Price(standard, batch, "your own price")
    return own


@cache
def _listed(model: str, request_tokens: int) -> Price | None:
    standard = _rates(model, request_tokens, {})
    if standard is None:
        return None
    batch = _rates(model, request_tokens, {"processing": "batch"})
    if batch is None or batch == standard:
        return Price(standard, standard.halved(), HALF)
    return Price(standard, batch, "list price")


def _rates(model: str, size: int, context: Mapping[str, str]) -> Rates | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - large, and for prices alone

    provider = "anthropic" if model.startswith("claude") else None

    def asked(**tokens: int) -> Decimal:
        price = calc_price(Usage(**tokens), model, provider_id=provider, price_context=context or None)
        return Decimal(price.total_price) / size

    try:
        return Rates(
            asked(input_tokens=size),
            asked(input_tokens=size, output_tokens=size) - asked(input_tokens=size),
            asked(input_tokens=size, cache_write_tokens=size),
            asked(input_tokens=size, cache_read_tokens=size),
        )
    except LookupError:
        return None


def dollars(option: str, text: str) -> Decimal:
    """Return an amount that was typed; ``WrongUse`` if it is none."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount <= 0:
        raise WrongUse(f"{option} {text!r} must be an amount of dollars, such as 12.50")
    return amount


def in_dollars(amount: Decimal) -> str:
    """Return an amount with cents, or with two digits that say something where it is less than a dollar."""
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    whole, _, cents = f"{amount:.{min(1 - amount.adjusted(), 8)}f}".partition(".")
    return f"${whole}.{cents.rstrip('0'):0<2}"
