"""Prices are arithmetic on rates: nothing is rounded, nothing without a price is counted as free."""

import pytest

from batchyard.domain.pricing import Cost, Price, Rates, cost, total
from batchyard.domain.usage import NO_USAGE, Usage


def test_each_kind_of_token_has_its_own_rate() -> None:
    rates = Rates(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75, cache_write_1h=6.0)

    assert rates.cost(Usage(input_tokens=1_000_000)) == 3.0
    assert rates.cost(Usage(output_tokens=2_000_000)) == 30.0
    assert rates.cost(Usage(cache_read_tokens=1_000_000)) == 0.3
    assert rates.cost(Usage(cache_write_tokens=1_000_000)) == 3.75
    assert rates.cost(Usage(cache_write_tokens=1_000_000, cache_write_1h_tokens=400_000)) == pytest.approx(4.65)
    assert rates.cost(NO_USAGE) == 0.0


def test_what_is_not_said_of_the_cache_follows_from_the_input() -> None:
    assert Rates.of(2.0, 10.0) == Rates(2.0, 10.0, 0.2, 2.5, 4.0)
    assert Rates.of(2.0, 10.0, 0.0, 2.0, 2.0) == Rates(2.0, 10.0, 0.0, 2.0, 2.0)


def test_the_batch_price_is_half_unless_a_list_says_otherwise() -> None:
    standard = Rates.of(2.0, 10.0)

    assert Price.of(standard).batch == Rates.of(1.0, 5.0)
    assert Price.of(standard, standard).batch == standard


def test_an_answer_without_a_price_is_told_apart_from_a_free_one() -> None:
    price = Price.of(Rates.of(1.0, 1.0))
    free = Price.of(Rates.of(0.0, 0.0))

    sums = total(
        [
            cost(3, Usage(1_000_000, 1_000_000), price),
            cost(2, Usage(1_000_000), None),
            cost(5, Usage(9_000_000), free),
        ]
    )

    assert sums == Cost(standard=2.0, batch=1.0, unpriced=2)
    assert sums.saved == 1.0
