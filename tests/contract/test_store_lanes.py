"""What a store promises of lanes that the operator paused: their names are kept, for every owner and the next start."""

from tests.contract.yard import Yard


def test_a_lane_stays_paused_until_it_is_resumed(yard: Yard) -> None:
    assert yard.run(yard.store.paused_lanes()) == []

    for lane in ("local/qwen", "far", "local/qwen"):
        yard.run(yard.store.pause_lane(lane, paused=True))

    assert yard.run(yard.store.paused_lanes()) == ["far", "local/qwen"]


def test_to_resume_a_lane_says_nothing_of_another(yard: Yard) -> None:
    for lane in ("local", "local/qwen"):
        yard.run(yard.store.pause_lane(lane, paused=True))

    for lane in ("local", "never paused"):
        yard.run(yard.store.pause_lane(lane, paused=False))

    assert yard.run(yard.store.paused_lanes()) == ["local/qwen"]


def test_what_a_lane_is_called_is_not_looked_into(yard: Yard) -> None:
    names = ["local/org/model:8b", "local/Ünï ' -- x", "local/%_"]

    for lane in names:
        yard.run(yard.store.pause_lane(lane, paused=True))

    assert sorted(yard.run(yard.store.paused_lanes())) == sorted(names)
