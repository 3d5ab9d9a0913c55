"""What tokens cost: list prices, half of the standard price where there is none for batches, or the user's own."""

from decimal import Decimal

import pytest

from batchyard.client.prices import HALF, Cost, Prices, in_dollars, own_prices
from batchyard.client.tally import Tokens

MILLION = Tokens(input=1_000_000, output=1_000_000, requests=1000)


@pytest.mark.parametrize(
    ("model", "standard", "batch"),
    [
        ("claude-sonnet-4-5-20250929", "18", "9"),
        ("claude-opus-4-5", "30", "15"),
        ("claude-haiku-4-5-20251001", "6", "3"),
        ("claude-3-5-haiku-20241022", "4.8", "2.4"),
    ],
)
def test_a_batch_costs_half(model: str, standard: str, batch: str) -> None:
    assert Prices().cost({model: MILLION}) == Cost(Decimal(standard), Decimal(batch))


def test_an_old_model_without_a_batch_price_says_where_its_own_is_from() -> None:
    old, new = Prices().of("claude-3-5-haiku-20241022"), Prices().of("claude-haiku-4-5")

    assert old is not None
    assert old.origin == HALF
    assert new is not None
    assert new.origin == "list price"


def test_tokens_of_caches_have_prices_of_their_own() -> None:
    cached = Tokens(input=0, output=0, cache_write=1_000_000, cache_read=1_000_000, requests=1000)

    assert Prices().cost({"claude-sonnet-4-5": cached}) == Cost(Decimal("4.05"), Decimal("2.025"))


def test_many_small_requests_are_not_priced_as_one_large_one() -> None:
    small = Prices().cost({"claude-haiku-5-5": Tokens(input=10_000_000, requests=1000)})
    large = Prices().cost({"claude-haiku-5-5": Tokens(input=10_000_000, requests=10)})

    assert (small.standard, large.standard) == (Decimal(1), Decimal(5))


def test_a_model_that_nobody_knows_is_named_and_not_in_the_sum() -> None:
    cost = Prices().cost({"my-model": MILLION, "claude-opus-4-5": MILLION})

    assert cost == Cost(Decimal(30), Decimal(15), frozenset({"my-model"}))


def test_own_prices_go_before_the_list() -> None:
    own = Prices(own_prices(["my-model=1/2", "claude-opus-4-5=4/8/1/2"]))

    assert own.cost({"my-model": MILLION}) == Cost(Decimal(3), Decimal(3))
    assert own.cost({"claude-opus-4-5": MILLION}) == Cost(Decimal(12), Decimal(3))


@pytest.mark.parametrize("text", ["", "m", "m=", "m=1", "m=1/2/3", "m=a/b", "=1/2", "m=-1/2", "m=nan/1"])
def test_a_price_that_is_none_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="write MODEL=IN/OUT"):
        own_prices([text])


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.5", "$0.50"),
        ("0.0123", "$0.012"),
        ("0.01", "$0.01"),
        ("0.0000021", "$0.0000021"),
    ],
)
def test_small_amounts_keep_two_digits(amount: str, shown: str) -> None:
    assert in_dollars(Decimal(amount)) == shown
