"""A batch of another workspace costs PostgreSQL what one costs that never was: the same plan, the same blocks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg
import pytest

from batchyard.domain.errors import NotFound
from batchyard.store import postgres_batches, postgres_labels, postgres_running
from batchyard.store.postgres import PostgresStore
from batchyard.testing.factories import a_batch, drafts, later, origin
from tests.postgres import shared

VERBS: dict[str, Callable[[Any, str, str], Awaitable[Any]]] = {
    "get": postgres_batches.find,
    "cancel": partial(postgres_batches.cancel, now=later(60)),
    "pause": partial(postgres_batches.pause, paused=True),
    "delete": postgres_batches.delete,
    "label": partial(postgres_labels.label, name="n", changes={}),
    "arrivals": partial(postgres_running.arrivals, after=0, limit=10),
    "errors": partial(postgres_running.errors, limit=10),
    "rows": partial(postgres_running.rows, first=0, limit=10),
    "place": partial(postgres_running.place, custom_id="r0"),
}
PLAN = "explain (analyze, buffers, timing off, summary off, costs off) "
TIMES = 3
"""The first time a statement runs the catalogue is read too."""


class Spy:
    """Runs statements, and returns of each what it did: plan, rows and blocks, without what was asked for."""

    def __init__(self, db: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._db = db
        self.did: list[str] = []

    async def fetch(self, statement: str, *values: Any) -> Any:
        for _ in range(TIMES):
            plan = "\n".join(row[0] for row in await self._db.fetch(PLAN + statement, *values))
        for value in values:
            plan = plan.replace(f"'{value}'", "?")
        self.did.append(plan.partition("Planning:")[0])
        return await self._db.fetch(statement, *values)


async def did(db: "asyncpg.Connection[asyncpg.Record]", name: str, batch_id: str) -> list[str]:
    """Return what the verb did for a call of ours."""
    spy = Spy(db)
    undo = db.transaction()
    await undo.start()
    try:
        with suppress(NotFound):
            await VERBS[name](spy, "mine", batch_id)
            pytest.fail("it was found")
    finally:
        await undo.rollback()
    return spy.did


@pytest.mark.parametrize("theirs", [1, 30], ids=["as many of theirs", "nearly all are theirs"])
@pytest.mark.parametrize("analyzed", [False, True], ids=["not analyzed", "analyzed"])
def test_a_foreign_batch_is_read_no_more_than_one_that_never_was(theirs: int, analyzed: bool) -> None:
    async def main() -> None:
        url = shared().schema_url()
        store = await PostgresStore.open(url)
        workspaces = ("mine", *["theirs"] * theirs)
        made = [
            await store.create(a_batch(workspaces[number % len(workspaces)]), drafts(2), origin(), defend=False)
            for number in range(70)
        ]
        await store.close()
        foreign = next(one.id for one in made[33:] if one.workspace == "theirs")
        unknown = foreign[:-1] + ("0" if foreign[-1] != "0" else "1")
        plain, _, schema = url.partition("?schema=")
        db = await asyncpg.connect(plain, server_settings={"search_path": schema})
        try:
            if analyzed:
                await db.execute("analyze")
            for name in VERBS:
                found = await did(db, name, foreign)
                assert found, name
                assert found == await did(db, name, unknown), name
                assert "Buffers: shared hit=" in found[0]
        finally:
            await db.close()

    asyncio.run(main())
