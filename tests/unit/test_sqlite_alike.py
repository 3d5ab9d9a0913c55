"""A batch of another workspace costs the store what one costs that never was: the same steps of the same statements."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from batchyard.domain.errors import NotFound
from batchyard.domain.ids import batch_id as id_of
from batchyard.store import database, sqlite_batches, sqlite_labels, sqlite_running
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.factories import NOW, a_batch, drafts, later, origin

Verb = Callable[[apsw.Connection, str, str], Any]
VERBS: dict[str, Verb] = {
    "get": sqlite_batches.get,
    "cancel": partial(sqlite_batches.cancel, now=later(60)),
    "pause": partial(sqlite_batches.pause, paused=True),
    "delete": sqlite_batches.delete,
    "label": partial(sqlite_labels.label, name="n", changes={}),
    "arrivals": partial(sqlite_running.arrivals, after=0, limit=10),
    "errors": partial(sqlite_running.errors, limit=10),
    "rows": partial(sqlite_running.rows, first=0, limit=10),
    "place": partial(sqlite_running.place, custom_id="r0"),
}


async def _fill(folder: Path) -> str:
    """Batches of theirs on both sides of one of ours; return the id of one of theirs."""
    store = SqliteStore.open(folder)
    made = [
        await store.create(a_batch(workspace), drafts(3), origin(), defend=False)
        for workspace in ("theirs", "mine", "theirs", "others", "theirs", "mine")
    ]
    await store.close()
    return made[2].id


def steps(connection: apsw.Connection, verb: Verb, batch_id: str) -> list[tuple[str, int]]:
    """Return the statements that a call of ours runs, and the steps of each."""
    ran: list[tuple[str, int]] = []

    def note(event: dict[str, Any]) -> None:
        ran.append((event["sql"], event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]))

    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    try:
        with suppress(NotFound):
            verb(connection, "mine", batch_id)
            pytest.fail("it was found")
    finally:
        connection.trace_v2(0)
        connection.execute("rollback") if connection.in_transaction else None
    return ran


@pytest.mark.parametrize("name", VERBS)
def test_a_foreign_batch_costs_the_steps_of_one_that_never_was(name: str, tmp_path: Path) -> None:
    foreign = asyncio.run(_fill(tmp_path))
    beside = foreign[:-1] + ("0" if foreign[-1] != "0" else "1")
    unknown = [beside, id_of(NOW, 0), id_of(later(3600), 2**77)]
    connection = database.open_writer(tmp_path / database.NAME, None)
    try:
        found = steps(connection, VERBS[name], foreign)
        assert found
        assert found == steps(connection, VERBS[name], beside)
        sizes = {tuple(count for _, count in steps(connection, VERBS[name], each)) for each in unknown}
        assert all(abs(size[0] - found[0][1]) <= 1 for size in sizes)  # at either end of ours one comparison is spared
    finally:
        connection.close()
