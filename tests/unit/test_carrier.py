"""What comes next for a carrier: each row is what is known of it, the time, and the step."""

from dataclasses import replace
from datetime import timedelta

import pytest

from batchyard.domain.carrier import (
    Course,
    Group,
    Standing,
    Step,
    UpstreamBatch,
    candidates,
    ends_by,
    full_size,
    next_group,
    next_step,
    poll_seconds,
)
from batchyard.domain.carrier_line import custom_id, judge_line, seq_of
from batchyard.testing.factories import DAY, NOW, later

MADE = Course(upstream_id=None, closing=False, ends_by=NOW + DAY - timedelta(minutes=15), expires_at=NOW + DAY, open=5)
SENT = replace(MADE, upstream_id="u1", standing=Standing.IN_PROGRESS)
LOST = replace(MADE, lost_at=NOW)
FOUND = replace(LOST, candidates=("u1", "u2"))
ENDED = replace(SENT, standing=Standing.ENDED)
LATE = NOW + DAY - timedelta(minutes=10)
OVER = NOW + DAY + timedelta(seconds=1)
OVERDUE = NOW + DAY + timedelta(seconds=31)

STEPS = [
    (MADE, NOW, Step.CREATE),
    (replace(MADE, closing=True), NOW, Step.LOSE),
    (replace(MADE, open=0), NOW, Step.LOSE),
    (MADE, LATE, Step.LOSE),
    (LOST, NOW, Step.LOOK),
    (replace(LOST, looked_at=later(60)), NOW, Step.LOOK),
    (replace(LOST, looked_at=later(121)), NOW, Step.CREATE),
    (replace(LOST, looked_at=later(121), closing=True), NOW, Step.LOSE),
    (replace(LOST, closing=True), NOW, Step.LOOK),
    (replace(LOST, keyed=True), NOW, Step.CREATE),
    (replace(LOST, keyed=True, closing=True), NOW, Step.LOOK),
    (replace(FOUND, keyed=True, closing=True), NOW, Step.CREATE),
    (replace(FOUND, keyed=True, closing=True), OVER, Step.RETRIEVE),
    (FOUND, NOW, Step.RETRIEVE),
    (replace(FOUND, closing=True), NOW, Step.RETRIEVE),
    (replace(FOUND, standing=Standing.ENDED), NOW, Step.COLLECT),
    (replace(FOUND, open=0), NOW, Step.LOSE),
    (SENT, NOW, Step.RETRIEVE),
    (replace(SENT, closing=True), NOW, Step.CANCEL),
    (SENT, LATE, Step.CANCEL),
    (replace(SENT, open=0), NOW, Step.CANCEL),
    (replace(SENT, closing=True, cancel_asked=True), NOW, Step.RETRIEVE),
    (replace(SENT, absences=2), NOW, Step.RETRIEVE),
    (replace(SENT, absences=3), NOW, Step.GIVE_UP),
    (replace(SENT, absences=3, open=0), NOW, Step.FINISH),
    (SENT, OVERDUE, Step.CANCEL),
    (replace(SENT, closing=True), OVERDUE, Step.RELEASE),
    (replace(SENT, closing=True, cancel_asked=True), OVER, Step.RETRIEVE),
    (replace(SENT, open=0, cancel_asked=True), OVERDUE, Step.RETRIEVE),
    (replace(SENT, open=0, cancel_asked=True), NOW + 2 * DAY, Step.FINISH),
    (ENDED, NOW, Step.COLLECT),
    (replace(ENDED, lacking=2), NOW, Step.COLLECT),
    (replace(ENDED, lacking=3), NOW, Step.GIVE_UP),
    (replace(ENDED, open=0), NOW, Step.FINISH),
    (replace(ENDED, open=0, deletes=True), NOW, Step.DELETE),
    (replace(ENDED, open=0, deletes=True, deleted=True), NOW, Step.FINISH),
]


@pytest.mark.parametrize(("course", "now", "step"), STEPS)
def test_each_course_has_its_next_step(course: Course, now: object, step: Step) -> None:
    assert next_step(course, now) is step  # type: ignore[arg-type]


def test_a_carrier_is_cancelled_an_eighth_of_its_time_before_its_batchs_deadline() -> None:
    assert ends_by(NOW, NOW + DAY) == NOW + DAY - timedelta(minutes=15)
    assert ends_by(NOW, later(80)) == later(70)


def test_candidates_fit_in_size_and_time_and_are_nobodys() -> None:
    listed = [
        UpstreamBatch("late", Standing.ENDED, 5, later(100)),
        UpstreamBatch("second", Standing.ENDED, 5, later(20)),
        UpstreamBatch("first", Standing.ENDED, 5, later(10)),
        UpstreamBatch("other size", Standing.ENDED, 6, later(10)),
        UpstreamBatch("no time", Standing.ENDED, 5, None),
        UpstreamBatch("known", Standing.ENDED, 5, later(10)),
        UpstreamBatch("early", Standing.ENDED, 5, later(-10)),
    ]

    assert candidates(listed, 5, NOW, later(30), frozenset({"known"})) == ["first", "second"]


def test_questions_come_soon_at_first_and_seldom_later() -> None:
    assert poll_seconds(0.0, 60.0, None) == 1.0
    assert poll_seconds(100.0, 60.0, None) == 25.0
    assert poll_seconds(10_000.0, 60.0, None) == 60.0
    assert poll_seconds(0.0, 60.0, 10.0) == 10.0
    assert poll_seconds(0.0, 60.0, 1e9) == 600.0


def group(batch: str, workspace: str, pending: int = 3, waited: float = 9.0) -> Group:
    return Group(batch, workspace, "m", pending, later(-waited), NOW + DAY)


def chosen(*groups: Group, under_way: dict[str, int] | None = None, free: int = 9, slots: int = 9) -> str | None:
    """The batch whose carrier is next, where carriers hold 100 requests and are gathered for 5 seconds."""
    found = next_group(
        groups,
        NOW,
        most=100,
        seconds=5.0,
        under_way=under_way or {},
        free=free,
        slots=slots,
        weight=lambda workspace: 3.0 if workspace == "heavy" else 1.0,
    )
    return None if found is None else found.batch


def test_groups_travel_when_they_are_full_or_have_waited_and_there_is_room() -> None:
    assert chosen(group("a", "w", pending=100, waited=0)) == "a"
    assert chosen(group("a", "w", waited=6)) == "a"
    assert chosen(group("a", "w", waited=2)) is None
    assert chosen(group("a", "w", pending=0)) is None
    assert chosen(group("a", "w"), free=0) is None
    assert chosen(replace(group("a", "w"), ends_by=NOW)) is None


def test_the_least_served_workspace_is_next_by_its_weight_and_the_last_slot_is_for_one_that_has_none() -> None:
    assert chosen(group("a", "busy"), group("b", "idle"), under_way={"busy": 1}) == "b"
    assert chosen(group("a", "heavy"), group("b", "light"), under_way={"heavy": 2, "light": 1}) == "a"
    assert chosen(group("a", "heavy"), group("b", "light"), under_way={"heavy": 4, "light": 1}) == "b"
    assert chosen(group("a", "busy"), under_way={"busy": 3}, free=1, slots=4) is None
    assert chosen(group("a", "busy"), group("b", "idle"), under_way={"busy": 3}, free=1, slots=4) == "b"
    assert chosen(group("a", "busy"), under_way={"busy": 2}, free=1, slots=3) == "a"


def test_full_carriers_made_together_differ_in_size() -> None:
    taken: set[int] = set()
    for number in range(101):
        taken.add(full_size(10_000, taken, number / 101))

    assert taken == set(range(9_900, 10_001))
    assert full_size(10_000, taken, 0.0) == 10_000
    assert full_size(50, {50}, 0.9) == 50


def test_a_custom_id_proves_whose_it_is_and_fits() -> None:
    carrier = "car_" + "a" * 24

    assert seq_of(carrier, custom_id(carrier, 99_999)) == 99_999
    assert len(custom_id(carrier, 99_999)) <= 64
    for wrong in ("", "r1", f"{carrier}x-1", f"{carrier}-", f"{carrier}-x", f"{carrier}-1-2", f"{carrier}-1\n", "-1"):
        assert seq_of(carrier, wrong) is None


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"\xff", b'{"custom_id":"a","result":{"type":"new"}}', b"[" * 9999]
)
def test_what_is_no_line_is_none(line: bytes) -> None:
    assert judge_line(line) is None
