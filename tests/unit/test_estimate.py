"""What a job takes and costs, said before it is sent, and a limit that even the worst case does not pass."""

import asyncio
import base64
import json
from collections.abc import Iterable
from decimal import Decimal

import pytest

from batchyard.client.budget import Budget
from batchyard.client.errors import WrongUse
from batchyard.client.estimate import estimate, saving
from batchyard.client.prices import HALF, Prices, own_prices
from batchyard.client.survey import IMAGE_TOKENS, PAGE_TOKENS, Asked, counted, estimated_tokens, surveyed

OWN = Prices(own_prices(["m=2/10/1/5"]))


def lines(*params: dict[str, object]) -> Iterable[tuple[int, bytes]]:
    for number, one in enumerate(params, start=1):
        yield number, json.dumps({"custom_id": f"r{number}", "params": one}).encode()


def asking(words: str, *, model: str = "m", max_tokens: int = 100, **more: object) -> dict[str, object]:
    return {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": words}], **more}


def estimated(content: object) -> int:
    return estimated_tokens(json.dumps({"messages": [{"role": "user", "content": content}]}).encode())


def test_each_model_is_surveyed_by_itself() -> None:
    models = surveyed(lines(asking("a"), asking("b", model="n", max_tokens=7), asking("c")), 3)

    assert {name: (asked.requests, asked.max_tokens) for name, asked in models.items()} == {"m": (2, 200), "n": (1, 7)}


def test_text_is_estimated_by_its_bytes_and_pictures_by_what_they_take() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 900_000}}
    pages = base64.b64encode(b"%PDF-1.4 /Type /Pages /Type /Page x /Type /Page").decode()
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pages}}
    words = "word " * 700

    assert 900 < estimated(words) < 1_100
    assert 0 < estimated([picture]) - IMAGE_TOKENS < 30
    assert 0 < estimated([document]) - 2 * PAGE_TOKENS < 30
    assert estimated([{"type": "text", "text": words}, picture]) > estimated(words) + IMAGE_TOKENS - 10


def test_a_count_on_a_sample_is_scaled_by_bytes() -> None:
    models = surveyed(lines(*(asking("x" * (10 if n % 2 else 30), stop_sequences=["a"]) for n in range(100))), 100)
    asked_for: list[dict[str, object]] = []

    async def count(params: bytes) -> int:
        asked_for.append(json.loads(params))
        return len(params)

    asyncio.run(counted(models, count, 10))

    assert len(asked_for) == 10
    assert set(asked_for[0]) == {"model", "messages"}
    assert models["m"].is_counted
    assert models["m"].input_tokens == pytest.approx(100 * 75, rel=0.2)


def test_the_tables_of_a_thousand_and_ten_thousand_requests_save_half() -> None:
    asked = Asked(requests=10, body_bytes=5_000, max_tokens=3_000, tokens_per_byte=1.0)

    told = estimate({"claude-opus-4-5": asked}, [], Prices())

    for requests, standard, batch in ((1_000, "10.00", "5.00"), (10_000, "100.00", "50.00")):
        cost = told.scaled(requests)
        assert (cost.standard, cost.batch, saving(cost)) == (Decimal(standard), Decimal(batch), "50 %")


def test_an_expected_length_takes_the_place_of_max_tokens() -> None:
    models = {"m": Asked(requests=10, body_bytes=1_000, max_tokens=10_000, tokens_per_byte=1.0)}

    at_most, expected = estimate(models, [], OWN), estimate(models, [], OWN, output_tokens=50)

    assert (at_most.models[0].output_tokens, at_most.is_at_most) == (10_000, True)
    assert (expected.models[0].output_tokens, expected.is_at_most) == (500, False)
    assert expected.cost.batch == (1_000 * Decimal(1) + 500 * Decimal(5)) / 1_000_000


def test_a_model_without_a_price_is_unknown_and_an_old_one_is_half() -> None:
    models = {name: Asked(requests=1, body_bytes=10, max_tokens=5) for name in ("nobody", "claude-3-haiku-20240307")}

    unknown, old = estimate(models, [], Prices()).models

    assert (unknown.origin, unknown.cost.unknown) == ("", frozenset({"nobody"}))
    assert old.origin == HALF


def test_the_bound_of_a_batch_is_above_what_it_can_cost() -> None:
    budget = Budget(Decimal(1), OWN)

    plain = budget.bound(lines(asking("x" * 3_500, max_tokens=100)), 1)
    cached = budget.bound(lines(asking("x" * 3_500, max_tokens=100, cache_control={"type": "ephemeral"})), 1)

    assert plain >= (1_000 * Decimal(1) + 100 * Decimal(5)) / 1_000_000
    assert cached - plain == pytest.approx(Decimal("0.00127"), rel=Decimal("0.1"))


def test_a_limit_needs_every_price() -> None:
    with pytest.raises(WrongUse, match="--price 'nobody=IN/OUT'"):
        Budget(Decimal(1), OWN).bound(lines(asking("x", model="nobody")), 1)
