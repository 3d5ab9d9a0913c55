"""The price book: the operator's prices first, then the public list, and nothing made up."""

import asyncio
from pathlib import Path

import pytest

from batchyard.app.entrance import prices
from batchyard.config import read
from batchyard.declared import ConfigError
from batchyard.domain.pricing import Price, Rates
from batchyard.price_book import PriceBook, public_price

HAIKU = "claude-haiku-4-5-20251001"


def of(book: PriceBook, model: str) -> Price | None:
    return asyncio.run(book.of([model]))[model]


def test_public_models_have_public_prices_in_dollars_per_million() -> None:
    price = of(PriceBook(), HAIKU)

    assert price == Price(Rates(1.0, 5.0, 0.1, 1.25, 2.0), Rates(0.5, 2.5, 0.05, 0.625, 1.0))


def test_a_price_that_grows_with_the_prompt_counts_at_its_lowest_step() -> None:
    price = public_price("claude-sonnet-4-5")

    assert price is not None
    assert (price.standard.input, price.standard.output, price.batch.input) == (3.0, 15.0, 1.5)


def test_a_model_without_a_public_batch_price_costs_half_in_a_batch() -> None:
    price = public_price("claude-3-haiku-20240307")

    assert price is not None
    assert price.batch == price.standard.share(0.5)


@pytest.mark.parametrize("model", ["", "Qwen/Qwen3-32B-of-ours", "claude-nobody-knows", "=1+1\n", "x" * 256])
def test_no_price_is_made_up(model: str) -> None:
    assert of(PriceBook(), model) is None


def test_the_operators_price_comes_first(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(
        '[prices."Qwen/*"]\ninput = 0.1\noutput = 0.4\n'
        '[prices."claude-haiku-*"]\ninput = 0\noutput = 0\n'
        '[prices."*-own"]\ninput = 1\noutput = 2.5\ncache_read = 0.5\nbatch_input = 0.9\n'
    )
    book = prices(read({}, {}, tmp_path))

    assert of(book, "Qwen/Qwen3-32B") == Price.of(Rates.of(0.1, 0.4))
    assert of(book, HAIKU) == Price.of(Rates.of(0.0, 0.0))
    own = of(book, "my-own")
    assert own is not None
    assert own.standard == Rates.of(1.0, 2.5, 0.5)
    assert own.batch == Rates(0.9, 1.25, 0.25, 0.625, 1.0)
    assert of(book, "claude-sonnet-4-5") == public_price("claude-sonnet-4-5")


def test_a_name_that_a_client_made_up_costs_what_the_upstream_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(
        '[prices."ours"]\ninput = 100\noutput = 500\n[prices."named"]\ninput = 1\noutput = 2\n'
        '[upstreams.a]\nurl = "http://127.0.0.1:1"\nmodels = { "old-*" = "ours", "*" = "claude-opus-4-5" }\n'
        '[upstreams.b]\nurl = "http://127.0.0.1:2"\nmodel = "claude-haiku-4-5"\n'
        '[[routes]]\nmodels = ["b-*"]\nto = ["b"]\nfallback = ["a"]\n[[routes]]\nmodels = ["*"]\nto = ["a"]\n'
    )
    book = prices(read({}, {}, tmp_path))

    opus = public_price("claude-opus-4-5")
    assert opus is not None
    for made_up in ("free-lunch", "claude-3-haiku-20240307", "b-anything", ""):
        assert of(book, made_up) == opus
    assert of(book, "old-1") == Price.of(Rates.of(100.0, 500.0))
    assert of(book, "named") == Price.of(Rates.of(1.0, 2.0))


def test_one_model_for_all_names_has_one_price(tmp_path: Path) -> None:
    book = prices(read({"upstream": "http://127.0.0.1:1", "model": HAIKU}, {}, tmp_path))

    assert [of(book, name) for name in ("free-lunch", "", HAIKU)] == [public_price(HAIKU)] * 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prices = 3", "prices must be tables"),
        ('[prices."m"]\ninput = 1', "prices.m needs output: US dollars per million tokens"),
        ('[prices."m"]\ninput = -1\noutput = 1', "input = '-1': must be a number, 0 or more"),
        ('[prices."m"]\ninptu = 1\noutput = 1', "unknown key 'inptu'; did you mean input?"),
    ],
)
def test_a_wrong_price_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "batchyard.toml").write_text(text)

    with pytest.raises(ConfigError, match=r"\A[^\n]+\Z") as wrong:
        read({}, {}, tmp_path)

    assert told in str(wrong.value)
