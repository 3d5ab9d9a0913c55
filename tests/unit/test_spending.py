"""Caps on spending: what was spent, what is left, what a batch costs at least."""

from datetime import date

import pytest

from batchyard.domain.errors import RateLimited
from batchyard.domain.pricing import Price, Rates
from batchyard.domain.spending import Caps, Spent, check, least, may_spend, spent
from batchyard.domain.usage import Usage, Used

TODAY = date(2026, 3, 31)
PRICES = {"m": Price.of(Rates.of(2.0, 10.0)), "free": Price.of(Rates.of(0.0, 0.0)), "unknown": None}


def row(day: int, model: str, tokens: int) -> Used:
    return Used(date(2026, 3, day), "w", model, "", 1, Usage(input_tokens=tokens))


def test_a_month_has_its_days_and_models_without_a_price_cost_nothing_known() -> None:
    rows = [row(1, "m", 3_000_000), row(31, "m", 1_000_000), row(31, "free", 10**9), row(31, "unknown", 10**9)]

    assert spent(rows, PRICES, TODAY) == Spent(day=1.0, month=4.0)


@pytest.mark.parametrize(
    ("caps", "so_far", "may"),
    [
        (Caps(), Spent(1e9, 1e9), True),
        (Caps(day=5.0), Spent(4.99, 1e9), True),
        (Caps(day=5.0), Spent(5.0, 5.0), False),
        (Caps(month=5.0), Spent(0.0, 5.0), False),
        (Caps(day=5.0, month=50.0), Spent(1.0, 50.1), False),
        (Caps(day=0.0), Spent(), False),
    ],
)
def test_nothing_starts_once_either_is_spent(caps: Caps, so_far: Spent, *, may: bool) -> None:
    assert may_spend(caps, so_far) is may
    if may:
        check(caps, so_far)
    else:
        with pytest.raises(RateLimited, match=r"has spent .* again from") as refused:
            check(caps, so_far)
        assert refused.value.retry_after is None


def test_a_batch_whose_input_alone_costs_more_than_is_left_is_refused() -> None:
    caps, so_far = Caps(day=5.0, month=100.0), Spent(4.0, 4.0)
    check(caps, so_far, 0.99)

    with pytest.raises(RateLimited, match=r"5\.00 US dollars a day on batches: 4\.00 are spent, .* about 1\.50 more"):
        check(caps, so_far, 1.5)


def test_what_a_batch_costs_at_least_counts_text_by_its_bytes_and_no_image_by_its_size() -> None:
    text = least({"m": [4_000] * 1_000}, PRICES)
    images = least({"m": [5_000_000] * 1_000}, PRICES)

    assert text == pytest.approx(1_000_000 / 1e6)
    assert images == pytest.approx(1_500_000 / 1e6)
    assert least({"unknown": [4_000], "free": [4_000]}, PRICES) == 0.0
