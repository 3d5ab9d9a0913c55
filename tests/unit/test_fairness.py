"""Fair shares: over workspaces, then over batches, by slot-seconds."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.fairness import Claimant, FairShare

DEADLINE = datetime(2026, 1, 1, tzinfo=UTC)


def claimant(batch: str, workspace: str = "w", available: int = 1_000, hours: int = 0) -> Claimant:
    return Claimant(workspace, batch, "m", DEADLINE + timedelta(hours=hours), available)


def pick(fair: FairShare, claimants: list[Claimant], slots: int) -> dict[str, int]:
    """How many of so many slots, good for anybody, each batch gets."""
    free = iter(range(slots))
    picked = fair.pick(claimants, lambda _claimant, most: list(islice(free, most)))
    return {batch: len(got) for (batch, _), got in picked.items()}


def serve(
    fair: FairShare, claimants: list[Claimant], turns: int, slots: int, seconds: dict[str, float]
) -> Counter[str]:
    """Slot-seconds that each batch got when attempts of it take so long."""
    workspaces = {one.batch: one.workspace for one in claimants}
    got: Counter[str] = Counter()
    for _ in range(turns):
        for batch, picks in pick(fair, claimants, slots).items():
            for _ in range(picks):
                fair.used(workspaces[batch], batch, seconds[batch])
                got[batch] += seconds[batch]  # type: ignore[assignment]  # a Counter adds floats as well
    return got


def test_one_batch_takes_every_slot() -> None:
    assert pick(FairShare(), [claimant("a")], 7) == {"a": 7}


def test_nothing_is_picked_that_is_not_there() -> None:
    assert pick(FairShare(), [claimant("a", available=2), claimant("b", available=1)], 10) == {"a": 2, "b": 1}
    assert pick(FairShare(), [], 10) == {}


def test_workspaces_share_evenly_however_many_batches_each_has() -> None:
    claimants = [claimant(f"a{n}", "a") for n in range(9)] + [claimant("b", "b")]
    picked = pick(FairShare(), claimants, 200)

    assert abs(picked["b"] - 100) <= 1


def test_slot_seconds_are_shared_not_requests() -> None:
    got = serve(FairShare(), [claimant("slow", "a"), claimant("quick", "b")], 400, 4, {"slow": 10.0, "quick": 1.0})

    assert 0.9 <= got["slow"] / got["quick"] <= 1.1


def test_twenty_equal_workspaces_reach_a_jain_index_of_98_percent() -> None:
    claimants = [claimant(f"b{n}", f"w{n}") for n in range(20)]
    got = serve(FairShare(), claimants, 300, 7, {f"b{n}": 1.0 + n % 3 for n in range(20)})
    shares = [got[f"b{n}"] for n in range(20)]

    assert sum(shares) ** 2 / (20 * sum(share**2 for share in shares)) >= 0.98


def test_a_newcomer_starts_level_and_gets_no_credit_for_its_absence() -> None:
    fair = FairShare()
    old = claimant("old", "a")
    serve(fair, [old], 100, 4, {"old": 1.0})
    picked = pick(fair, [old, claimant("new", "b")], 10)

    assert abs(picked["old"] - picked["new"]) <= 1


def test_slow_requests_one_at_a_time_are_not_forgotten_while_they_run() -> None:
    fair, waiting, running = FairShare(), [claimant("bulk", "bulk")], list[tuple[int, str, int]]()
    got = Counter[str]()
    for now in range(600):
        if now % 5 == 0:  # a batch of one request, which has a slot at once where nothing is known against it
            waiting.append(claimant(f"drip {now}", "drip", available=1))
        for _, batch, seconds in (one for one in running if one[0] <= now):
            fair.used(batch.split()[0], batch, seconds)
        running = [one for one in running if one[0] > now]
        for batch, picks in pick(fair, waiting, 8 - len(running)).items():
            seconds = 1 if batch == "bulk" else 30
            running += [(now + seconds, batch, seconds)] * picks
            got[batch.split()[0]] += picks * seconds
        waiting = [one for one in waiting if one.batch not in {batch for _, batch, _ in running} - {"bulk"}]

    assert got["drip"] <= 1.2 * got["bulk"]


def test_the_earlier_deadline_breaks_a_tie() -> None:
    assert pick(FairShare(), [claimant("late", hours=2), claimant("soon", hours=1)], 1) == {"soon": 1}


def test_picks_that_leased_nothing_are_not_charged() -> None:
    fair = FairShare()
    pair = [claimant("a", "a"), claimant("b", "b")]
    for _ in range(50):
        fair.give_back("a", "a", pick(fair, [pair[0], claimant("b", "b", available=0)], 5)["a"])

    picked = pick(fair, pair, 10)

    assert abs(picked["a"] - picked["b"]) <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=8), st.integers(0, 60))
def test_every_slot_is_given_while_there_is_something_to_lease(shape: list[tuple[int, int]], slots: int) -> None:
    claimants = [claimant(f"b{n}", f"w{w}", available) for n, (w, available) in enumerate(shape)]
    picked = pick(FairShare(), claimants, slots)

    assert sum(picked.values()) == min(slots, sum(available for _, available in shape))
    assert all(picks <= claimants[int(batch[1:])].available for batch, picks in picked.items())


def test_who_finds_no_slot_leaves_the_others_theirs() -> None:
    claimants = [claimant("a"), claimant("b", "v")]
    slots = {"a": ["x"], "b": ["y"] * 5}
    picked = FairShare().pick(claimants, lambda one, most: [slots[one.batch].pop() for _ in slots[one.batch][:most]])

    assert picked == {("a", "m"): ["x"], ("b", "m"): ["y"] * 5}
