"""What of a long backlog turns look at."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from batchyard.dispatch.in_sight import LEAST_IN_SIGHT, MOST_IN_SIGHT, in_sight
from batchyard.dispatch.lanes import Lane, Lanes, Place
from batchyard.dispatch.queue import Queue
from batchyard.domain.request import Drafts
from batchyard.domain.routes import Route, Target
from batchyard.ports import Ready
from batchyard.store.memory import MemoryStore
from batchyard.testing.factories import NOW, a_batch, drafts, origin
from batchyard.testing.upstreams import ScriptedUpstream
from tests.wire.world import SetClock


def ready(workspace: str, batch: int, model: str = "m", pending: int = 1) -> Ready:
    at = NOW + timedelta(hours=24)
    return Ready(f"{workspace}-{batch}", workspace, NOW, at, "2023-06-01", (), model, pending, NOW)


def seen_of(backlog: Sequence[Ready], reading: int) -> tuple[Sequence[Ready], Mapping[str, int]]:
    return asyncio.run(in_sight(backlog, reading))


def by_workspace(seen: Sequence[Ready]) -> Counter[str]:
    return Counter(one.workspace for one in seen)


def test_a_short_backlog_is_all_seen_of() -> None:
    backlog = [ready("w", number) for number in range(MOST_IN_SIGHT)]

    assert seen_of(backlog, 3) == (backlog, {})


def test_workspaces_with_few_batches_are_all_in_sight_beside_one_with_many() -> None:
    many = [ready("many", number, f"m{number % 300}") for number in range(30_000)]
    few = [ready(f"few{number % 10}", number) for number in range(100)]

    seen, beyond = seen_of([*many, *few], 1)

    assert len(seen) == MOST_IN_SIGHT
    assert {one.batch for one in few} <= {one.batch for one in seen}
    assert sum(beyond.values()) == 30_100 - MOST_IN_SIGHT


def test_many_workspaces_have_equal_parts() -> None:
    seen, _ = seen_of([ready(f"w{number % 200}", number) for number in range(20_000)], 1)

    assert set(by_workspace(seen).values()) == {LEAST_IN_SIGHT}


def test_each_model_is_in_sight_and_each_batch_within_some_readings() -> None:
    held = [ready("w", number, "held") for number in range(20_000)]
    good = [ready("w", number, "good", pending=7) for number in range(20_000, 22_000)]
    readings = [seen_of([*held, *good], number)[0] for number in range(1, 41)]

    for seen in readings:
        assert Counter(one.model for one in seen) == {"held": MOST_IN_SIGHT // 2, "good": MOST_IN_SIGHT // 2}
    assert {one.batch for seen in readings for one in seen} == {one.batch for one in (*held, *good)}


def test_models_beyond_what_is_in_sight_have_their_turn() -> None:
    backlog = [ready("w", number, f"m{number}") for number in range(5_000)]

    seen = {one.model for number in range(1, 6) for one in seen_of(backlog, number)[0]}

    assert len(seen) == 5_000


def test_what_is_beyond_is_told_of_few_models_however_many_names_clients_make_up() -> None:
    backlog = [ready("w", number, f"m{number}") for number in range(5_000)]
    large = [ready("w", number, "large", pending=50) for number in range(5_000, 6_100)]

    seen, beyond = seen_of([*backlog, *large], 1)

    assert len(beyond) == MOST_IN_SIGHT
    assert sum(beyond.values()) + sum(one.pending for one in seen) == 5_000 + 50 * 1_100
    assert beyond["large"] == 50 * (1_100 - sum(one.model == "large" for one in seen))


def test_a_turn_asks_for_few_slots_however_many_batches_and_models_wait() -> None:
    async def main() -> None:
        clock, store = SetClock(), MemoryStore()
        lanes = Asked(
            [Place("near", ScriptedUpstream(), 4)], [Route(("*",), (Target("near"),))], clock, lambda _event: None
        )
        queue = Queue(store, lanes, clock, 30.0, weight=lambda _workspace: 1.0)
        for number in range(60):
            many = Drafts()
            for seq in range(200):
                many.add(f"r{seq}", seq, 1, 0, model=f"m{seq}")
            made = a_batch("many", created_at=clock.now(), body=f"{number}.body")
            await store.create(made, many, origin(), defend=False)
        await store.create(a_batch("few", created_at=clock.now()), drafts(2), origin(), defend=False)

        picked = await queue.picks()

        assert lanes.asked <= MOST_IN_SIGHT + 4
        assert sum(map(len, picked.values())) == 4
        assert sum(queue.pending().values()) == 60 * 200 + 2
        queue.unpick(picked)

    asyncio.run(main())


class Asked(Lanes):
    """Counts how often a slot is asked for."""

    asked = 0

    def pick(self, model: str, most: int, now: float) -> Sequence[Lane]:
        self.asked += 1
        return super().pick(model, most, now)
