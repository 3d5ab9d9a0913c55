"""What a store promises of the history of lanes: by the minute, over all owners, for a week."""

from pathlib import Path

from batchyard.domain.lane_history import KEPT_MINUTES, LaneMinute
from batchyard.store.sqlite import SqliteStore
from tests.contract.yard import Run, Yard

AT = 29_000_000


def a_minute(minute: int = AT, lane: str = "local/m", **more: float | None) -> LaneMinute:
    usual: dict[str, float | None] = {"limit": 64.0, "busy": 31.5, "pending": 12.0, "usual": 1.5, "slow": 4.25}
    return LaneMinute(minute, lane, **{**usual, **more})  # type: ignore[arg-type]


def minutes(yard: Yard, lane: str = "local/m", first: int = 0) -> list[LaneMinute]:
    return list(yard.run(yard.store.lane_history.minutes(lane, first)))


def note(yard: Yard, *found: LaneMinute, owner: str = "one") -> None:
    yard.run(yard.store.lane_history.note(owner, found))


def test_minutes_come_back_in_their_order_from_the_first_that_is_asked_for(yard: Yard) -> None:
    assert minutes(yard) == []
    for minute in (AT + 2, AT, AT + 1):
        note(yard, a_minute(minute), a_minute(minute, "far/x", usual=None, slow=None))
    note(yard)

    assert minutes(yard, first=AT + 1) == [a_minute(AT + 1), a_minute(AT + 2)]
    assert minutes(yard, "far/x", AT + 2) == [a_minute(AT + 2, "far/x", usual=None, slow=None)]
    assert minutes(yard, "far/x", AT + 3) == []


def test_slots_are_added_up_over_owners_and_lines_and_times_are_not(yard: Yard) -> None:
    note(yard, a_minute(), owner="one")
    note(yard, a_minute(limit=36.0, busy=20.0, pending=11.0, usual=None, slow=9.0), owner="two")

    assert minutes(yard) == [a_minute(limit=100.0, busy=51.5, pending=12.0, usual=1.5, slow=9.0)]


def test_what_an_owner_says_again_gives_way(yard: Yard) -> None:
    note(yard, a_minute())
    note(yard, a_minute(busy=1.0))

    assert minutes(yard) == [a_minute(busy=1.0)]


def test_lanes_are_named_that_did_something_lately(yard: Yard) -> None:
    names = ["local/org/model:8b", "far/Ünï ' -- x", "local/%_"]
    note(yard, *(a_minute(AT + place, name) for place, name in enumerate(names)))

    assert yard.run(yard.store.lane_history.lanes(AT)) == sorted(names)
    assert yard.run(yard.store.lane_history.lanes(AT + 2)) == ["local/%_"]


def test_what_is_older_than_a_week_is_forgotten(yard: Yard) -> None:
    note(yard, a_minute(AT), a_minute(AT + 1))
    note(yard, a_minute(AT + 1 + KEPT_MINUTES, "far/x"))

    assert minutes(yard) == [a_minute(AT + 1)]


def test_a_folder_keeps_it_over_a_restart(run: Run, tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    run(store.lane_history.note("one", [a_minute()]))
    run(store.close())

    again = SqliteStore.open(tmp_path)

    assert run(again.lane_history.minutes("local/m", 0)) == [a_minute()]
    run(again.close())
