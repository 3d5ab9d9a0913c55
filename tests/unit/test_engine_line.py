"""What a model server tells of its own line, and how many of our calls follow from it."""

import pytest

from batchyard.domain.engine_line import STALE, EngineLine, EngineLoad, read_load

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m {a} \\"b\\""} 8.0
vllm:num_requests_running{engine="1",model_name="m"} 7.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1e1
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
"""


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (VLLM, EngineLoad(13, 15)),
        (
            b'sglang:num_running_reqs{model_name="m"} 4.0\r\nsglang:num_queue_reqs{model_name="m"} 2\r\n',
            EngineLoad(2, 4),
        ),
        (b"llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n", EngineLoad(46, 4)),
        (b"llamacpp:requests_deferred 0 1760000000000\n", EngineLoad(0, 0)),
        (b"llamacpp:requests_processing 4\n", None),
        (b"vllm:num_requests_waiting NaN\n", None),
        (b"vllm:num_requests_waiting 9e99\n", None),
        (b"vllm:num_requests_waiting -1\n", None),
        (b"  vllm:num_requests_waiting 1\n# vllm:num_requests_waiting 1\n", None),
        (b"<html>\xff\xfe not metrics", None),
        (b"", None),
    ],
)
def test_the_line_is_read_from_what_each_kind_of_server_tells(text: bytes, load: EngineLoad | None) -> None:
    assert read_load(text) == load


def looks(line: EngineLine, capacity: int, seconds: int, others: int = 0, *, allowed: int = 256) -> list[int]:
    """Return our calls at each look at an engine that works on so many at once, beside those of others."""
    ours = []
    for now in range(seconds):
        n = min(allowed, line.cap if line.cap is not None else allowed)
        load = EngineLoad(max(0, n + others - capacity), min(capacity, n + others))
        line.read(load, n, 1.0, float(now))
        ours.append(n)
    return ours


def test_what_is_too_much_goes_at_the_first_look_and_stays_away() -> None:
    assert looks(EngineLine(2), 20, 30) == [256] + [22] * 29


def test_others_come_first_and_what_they_leave_is_taken_again() -> None:
    line = EngineLine(2)
    looks(line, 20, 3)

    assert looks(line, 20, 10, others=15)[1:] == [7] * 9
    assert looks(line, 20, 12)[-1] == 22
    assert looks(line, 200, 20)[-1] >= 180


def test_where_nobody_waits_nothing_is_bounded() -> None:
    line = EngineLine(2)

    assert looks(line, 256, 10) == [256] * 10
    assert line.cap is None


def test_several_owners_give_up_what_is_too_much_together() -> None:
    caps = []
    for _ in range(4):
        line = EngineLine(0)
        line.read(EngineLoad(180, 20), 50, 0.25, 0.0)
        caps.append(line.cap)

    assert caps == [5] * 4


def test_one_call_is_always_let_in() -> None:
    line = EngineLine(0)
    line.read(EngineLoad(500, 20), 10, 1.0, 0.0)

    assert line.cap == 1


def test_what_nobody_can_read_any_more_bounds_nothing() -> None:
    line = EngineLine(2)
    line.read(EngineLoad(100, 20), 100, 1.0, 0.0)
    caps = []
    for now in (STALE, STALE + 1.0):
        line.read(None, 2, 1.0, now)
        caps.append(line.cap)

    assert caps == [2, None]
    assert line.load is None
