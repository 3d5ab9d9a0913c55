"""What models cost: the prices that the operator set, else the public ones that genai-prices carries.

Nothing is fetched: the list is the one of the installed release. It is imported when a price is first asked for, in a
thread, for it takes a fifth of a second.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from batchyard.domain.pricing import Price, Rates

_MOST_REMEMBERED = 10_000
"""Names of models are the clients' to choose: more than so many are looked up anew."""
_PROBE = 1000
"""Tokens that a rate is asked for with: few enough for the lowest tier of prices that grow with the prompt."""


class PriceBook:
    """``Prices``. ``own`` are (pattern of a model's name, price): the first that fits comes before the public list.

    ``asked`` tells by which other names upstreams are asked for a model. Clients may choose any name there: what they
    name costs what they get, the dearest of it, unless the operator set a price for their name itself.
    """

    def __init__(
        self, own: Sequence[tuple[str, Price]] = (), asked: Callable[[str], Collection[str]] = lambda _model: ()
    ) -> None:
        self._own, self._asked = own, asked
        self._known: dict[str, Price | None] = {}

    async def of(self, models: Collection[str]) -> Mapping[str, Price | None]:
        """Return the price of each model, None where neither the operator nor the public list knows one."""
        unknown = [model for model in models if model not in self._known]
        found = {model: self._own_price(model) for model in unknown}
        others = {model: tuple(self._asked(model)) for model, price in found.items() if price is None}
        if any(model or names for model, names in others.items()):
            found |= await asyncio.to_thread(
                lambda: {model: self._dearest(names) or public_price(model) for model, names in others.items()}
            )
        if len(self._known) + len(found) > _MOST_REMEMBERED:
            self._known.clear()
        self._known |= found
        return {model: found[model] if model in found else self._known.get(model) for model in models}

    def _dearest(self, names: Sequence[str]) -> Price | None:
        prices = [self._own_price(name) or public_price(name) for name in names]
        known = [price for price in prices if price is not None]
        return max(known, key=lambda price: (price.batch.output, price.batch.input), default=None)

    def _own_price(self, model: str) -> Price | None:
        return next((price for pattern, price in self._own if fnmatchcase(model, pattern)), None)


def public_price(model: str) -> Price | None:
    """Return the published price of a model; None where the list does not know it.

    Where the list has no batch price for it, that is half of the standard one.
    """
    standard = _rates(model, batch=False) if model else None
    if standard is None:
        return None
    batch = _rates(model, batch=True)
    return Price.of(standard, batch if batch != standard else None)


def _rates(model: str, *, batch: bool) -> Rates | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 see the top

    def dollars_per_million(**tokens: int) -> float:
        price = calc_price(Usage(**tokens), model_ref=model, price_context={"processing": "batch"} if batch else None)
        return float(price.total_price * 1_000_000 / _PROBE)

    try:
        return Rates(
            input=dollars_per_million(input_tokens=_PROBE),
            output=dollars_per_million(output_tokens=_PROBE),
            cache_read=dollars_per_million(input_tokens=_PROBE, cache_read_tokens=_PROBE),
            cache_write=dollars_per_million(input_tokens=_PROBE, cache_write_tokens=_PROBE),
            cache_write_1h=dollars_per_million(
                input_tokens=_PROBE, cache_write_tokens=_PROBE, cache_write_1h_tokens=_PROBE
            ),
        )
    except (LookupError, ValueError):  # a model that it does not know, or not in tokens
        return None
