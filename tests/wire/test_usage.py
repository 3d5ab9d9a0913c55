"""Usage beside the wire: what was used, at both prices, of the caller's workspace alone."""

import asyncio
import csv
import io
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.pricing import Price, Rates
from batchyard.domain.result import Succeeded
from batchyard.domain.usage import Usage, Used
from batchyard.ports import Pick
from batchyard.price_book import PriceBook
from batchyard.web import usage
from tests.wire.world import MESSAGE, NOW, Reply, World

USED = Usage(1_000_000, 100_000, 500_000, 0, 0)
PRICES = PriceBook([("simul*", Price.of(Rates.of(2.0, 10.0)))])


async def a_world(*, model: str = "simulator", prices: PriceBook = PRICES) -> tuple[World, str]:
    """Return a world with one batch of two answers."""
    world = World(prices=prices)
    requests = [{"custom_id": name, "params": {"model": model, "max_tokens": 5, "messages": []}} for name in "ab"]
    created = await world.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())
    batch = created.json()["id"]
    turn = await world.store.turn("engine", [], [Pick(batch, model, 10)], NOW)
    trace = Trace("answered", NOW, NOW)
    await world.store.turn("engine", [Finish(lease, Succeeded(MESSAGE), trace, USED) for lease in turn.leases], [], NOW)
    return world, batch


async def ask(world: World, query: str = "", headers: Mapping[str, str | None] | None = None) -> Reply:
    return await world.call("GET", f"/batchyard/v1/usage{query}", headers=headers)


def test_usage_is_told_by_day_and_model_at_both_prices() -> None:
    async def go() -> None:
        world, _ = await a_world()

        told = (await ask(world)).json()

        row = {
            "day": "2026-03-02",
            "workspace": "w1",
            "model": "simulator",
            "requests": 2,
            "input_tokens": 2_000_000,
            "output_tokens": 200_000,
            "cache_read_tokens": 1_000_000,
            "cache_write_tokens": 0,
            "cache_write_1h_tokens": 0,
            "standard_cost": 6.2,
            "batch_cost": 3.1,
        }
        assert told["data"] == [row]
        assert (told["from"], told["to"], told["currency"]) == ("2026-02-01", "2026-03-02", "USD")
        assert told["total"] == {
            **{name: row[name] for name in row if name not in ("day", "workspace", "model")},
            "unpriced_requests": 0,
        }

    asyncio.run(go())


def test_another_workspace_sees_nothing_of_it_and_no_key_is_refused() -> None:
    async def go() -> None:
        world, _ = await a_world()

        assert (await ask(world, headers={"x-api-key": "key-two"})).json()["data"] == []
        assert (await ask(world, headers={"x-api-key": None})).status == 401

    asyncio.run(go())


def test_what_all_workspaces_used_takes_the_scope_of_the_operator() -> None:
    async def go() -> None:
        world, _ = await a_world()

        path = "/batchyard/v1/usage/all"
        assert (await world.call("GET", path)).error()[:2] == (403, "permission_error")
        [row] = (await world.call("GET", path, headers={"x-api-key": "key-admin"})).json()["data"]
        assert (row["workspace"], row["requests"]) == ("w1", 2)

    asyncio.run(go())


def test_usage_by_batch_names_it_and_another_span_is_empty() -> None:
    async def go() -> None:
        world, batch = await a_world()

        assert [row["batch"] for row in (await ask(world, "?by=batch")).json()["data"]] == [batch]
        assert (await ask(world, "?from=2026-02-01&to=2026-03-01")).json()["data"] == []
        assert len((await ask(world, "?from=2026-03-02&to=2026-03-02")).json()["data"]) == 1

    asyncio.run(go())


def test_csv_is_a_table_in_which_no_model_name_is_a_formula() -> None:
    async def go() -> None:
        world, _ = await a_world(model='=HYPERLINK("x","y")', prices=PriceBook())

        reply = await ask(world, "?format=csv")

        [row] = csv.DictReader(io.StringIO(reply.body.decode()))
        assert row["model"] == '\'=HYPERLINK("x","y")'
        assert (row["input_tokens"], row["standard_cost"]) == ("2000000", "")
        assert reply.header("content-type") == "text/csv; charset=utf-8"
        assert "attachment" in (reply.header("content-disposition") or "")

    asyncio.run(go())


def test_answers_without_a_known_price_are_counted_apart() -> None:
    async def go() -> None:
        world, _ = await a_world(prices=PriceBook())

        told = (await ask(world)).json()

        assert told["data"][0]["standard_cost"] is None
        assert (told["total"]["standard_cost"], told["total"]["unpriced_requests"]) == (0.0, 2)

    asyncio.run(go())


def test_a_wrong_question_is_answered_with_what_to_change() -> None:
    async def go() -> None:
        world, _ = await a_world()
        told = {
            "?from=yesterday": "from: Input should be a day such as 2026-01-31",
            "?from=20260301": "from: Input should be a day such as 2026-01-31",
            "?from=2026-03-02&to=2026-03-01": "from: must not be after to.",
            "?from=1990-01-01": "from: at most 3660 days can be asked for at once.",
            "?by=hour": "by: Input should be model or batch",
            "?format=xml": "format: Input should be json or csv",
        }
        for query, message in told.items():
            assert (await ask(world, query)).error() == (400, "invalid_request_error", message)
        assert (await ask(world, "?to=0001-01-03")).status == 200

    asyncio.run(go())


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize(("rows", "on_loop"), [(1_000, True), (1_001, False)])
def test_many_rows_are_made_beside_the_loop(
    form: str, rows: int, on_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    plain = usage.usage_row

    def noted(*of: Any, **how: Any) -> dict[str, Any]:
        threads.add(threading.get_ident())
        return plain(*of, **how)

    async def many(*_: object, by_batch: bool) -> list[Used]:
        return [Used(NOW.date(), "w1", "simulator", f"b{n}" if by_batch else "", 1, USED) for n in range(rows)]

    async def go() -> Reply:
        world = World(prices=PRICES)
        world.store.views.usage = many  # type: ignore[method-assign,assignment]  # more rows than can be made
        return await ask(world, f"?by=batch&format={form}")

    monkeypatch.setattr(usage, "usage_row", noted)
    reply = asyncio.run(go())

    assert (threads == {threading.get_ident()}) is on_loop
    if form == "json":
        told = reply.json()
        assert [row["batch"] for row in told["data"]] == [f"b{n}" for n in range(rows)]
        assert told["total"]["requests"] == rows
    else:
        assert len(reply.body.splitlines()) == rows + 1
