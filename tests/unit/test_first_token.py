"""First tokens that come too late, and how many requests of a batch follow from them."""

from batchyard.domain.first_token import BEGINNING, CALLERS, FEWEST, FirstTokens


def play(first: FirstTokens, seconds: float, tokens: int, now: float, *, running: int | None = None) -> float:
    """Let so many first tokens come one after the other, ten a second; return the time."""
    for _ in range(tokens):
        now += 0.1
        there = first.cap if running is None else running
        first.heard(seconds, now, running=there, ceiling=256)
    return now


def test_it_begins_with_few_and_takes_up_to_twice_as_many_while_they_are_soon() -> None:
    first = FirstTokens(1.0)
    widths = []
    now = 0.0
    for _ in range(60):
        widths.append(first.cap)
        now = play(first, 0.1, 8, now)

    assert widths[0] == BEGINNING
    assert sorted(set(widths)) == [8, 16, 32, 64, 128, 256]


def test_near_the_target_it_takes_few_more() -> None:
    first = FirstTokens(1.0)
    play(first, 0.8, FEWEST + 8, 0.0)

    assert first.cap == BEGINNING * 5 // 4
    assert first.known == 0.8


def test_late_ones_take_away_no_more_than_are_too_many() -> None:
    first = FirstTokens(1.0)
    first.cap = 40
    play(first, 2.0, 10, 0.0)  # a second too late, ten a second: ten are too many

    assert 30 <= first.cap <= 37


def test_one_slot_is_left_whatever_it_takes() -> None:
    first = FirstTokens(1.0)
    play(first, 60.0, 5_000, 0.0)

    assert first.cap == 1


def test_a_tenth_may_be_late() -> None:
    first = FirstTokens(1.0)
    now = 0.0
    for _ in range(200):
        now = play(first, 3.0, 1, now, running=3)
        now = play(first, 0.2, 19, now, running=3)

    assert first.cap == BEGINNING


def test_a_lane_that_is_not_full_learns_nothing_of_a_wider_one() -> None:
    first = FirstTokens(1.0)
    play(first, 0.1, 500, 0.0, running=BEGINNING - 1)

    assert first.cap == BEGINNING


def test_late_ones_without_a_request_of_ours_are_not_ours() -> None:
    first = FirstTokens(1.0)
    now = 0.0
    for _ in range(100):
        now += 0.5
        first.heard(5.0, now, running=0, ceiling=256, is_call=True)

    assert first.cap == BEGINNING


def test_what_was_sent_before_a_change_tells_nothing_of_what_is_now() -> None:
    first = FirstTokens(1.0)
    now = play(first, 0.1, 24, 0.0)
    assert first.cap > BEGINNING
    wider = first.cap
    for _ in range(50):
        first.heard(9.0, now + 1.0, running=wider, ceiling=256)

    assert first.cap == wider


def test_callers_count_while_there_are_some_and_the_batch_again_once_they_are_gone() -> None:
    first = FirstTokens(1.0)
    now = 0.0
    for _ in range(CALLERS):
        now += 0.1
        first.heard(0.1, now, running=3, ceiling=256, is_call=True)
    cap = first.cap
    now = play(first, 9.0, 100, now)
    assert first.cap >= cap

    now = play(first, 9.0, 300, now + 200.0)
    assert first.cap < cap
