"""The limiter: noise costs nothing, overload narrows, silence holds, probes open again."""

import pytest

from batchyard.domain.allowance import Allowance
from batchyard.domain.limiter import LONGEST_HOLD, Hold, Limiter
from batchyard.domain.limiter_pace import GoodRate
from batchyard.domain.outcome import Answered, Failed, Held, NotStarted, Unknown
from batchyard.domain.result import RequestError

ERROR = RequestError("overloaded_error", "busy")
GOOD = Answered(b"{}")
REFUSED = NotStarted(ERROR)


def test_three_refusals_in_a_hundred_narrow_nothing() -> None:
    limiter = Limiter(64)
    for number in range(10_000):
        limiter.observe(REFUSED if number % 33 == 0 else GOOD, 0.0)

    assert limiter.limit == 64


def test_refusals_beyond_noise_narrow_and_answers_widen_again() -> None:
    limiter = Limiter(64)
    for number in range(640):
        limiter.observe(REFUSED if number % 3 == 0 else GOOD, 0.0)
    narrowed = limiter.limit
    for _ in range(2_000):
        limiter.observe(GOOD, 0.0)

    assert narrowed < 16
    assert limiter.limit == 64


def test_the_operators_limit_is_never_passed() -> None:
    limiter = Limiter(7)
    for _ in range(1_000):
        limiter.observe(GOOD, 0.0)
    assert limiter.room(0, 0.0) == 7
    assert limiter.room(9, 0.0) == 0

    limiter.ceiling = 3

    assert limiter.room(0, 0.0) == 3


def test_a_server_that_only_fails_is_held_then_probed_by_one() -> None:
    limiter = Limiter(4)
    holds = [hold for _ in range(10) if (hold := limiter.observe(REFUSED, 100.0))]

    assert holds == [Hold(1.0, "busy")]
    assert limiter.room(0, 100.5) == 0
    assert limiter.resumes_at(100.5) == 101.0
    assert limiter.room(0, 101.0) == 1
    assert limiter.room(1, 101.0) == 0


def test_a_failed_probe_holds_longer_up_to_the_longest() -> None:
    limiter = Limiter(4)
    now, seconds = 0.0, []
    for _ in range(10):
        hold = limiter.observe(Held(ERROR), now)
        assert hold is not None
        seconds.append(hold.seconds)
        now += hold.seconds

    assert seconds[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert seconds[-1] == LONGEST_HOLD


def test_a_probe_that_is_answered_opens_the_lane_step_by_step() -> None:
    limiter = Limiter(100)
    limiter.observe(Held(ERROR), 0.0)
    limiter.observe(GOOD, 2.0)
    opened = limiter.limit
    for _ in range(1_000):
        limiter.observe(GOOD, 2.0)

    assert opened == 2
    assert limiter.limit == 100


def test_the_rest_of_a_burst_does_not_hold_again() -> None:
    limiter = Limiter(2)
    assert limiter.observe(Held(ERROR), 5.0) is not None
    assert [limiter.observe(Held(ERROR), 5.1) for _ in range(20)] == [None] * 20
    assert limiter.resumes_at(5.1) == 6.0


def test_paid_failures_hold_a_server_that_does_nothing_else() -> None:
    limiter = Limiter(10)
    assert any(limiter.observe(Failed(ERROR), 0.0) for _ in range(10))


def test_a_burst_of_refusals_leaves_what_the_server_took() -> None:
    limiter = Limiter(64)
    for others in range(63, 19, -1):  # 64 were sent, 44 come back at once
        assert limiter.observe(REFUSED, 0.0, others=others) is None

    assert limiter.limit == 20


def test_a_wider_cap_is_tried_with_patience_and_given_up_after_two_refusals() -> None:
    limiter = Limiter(64)
    for others in range(63, 19, -1):
        limiter.observe(REFUSED, 0.0, others=others)
    tried: list[int] = []
    for answer in range(2_000):
        limiter.observe(GOOD, 1.0 + answer, position=limiter.limit, others=19)
        if limiter.limit > 20:
            tried.append(answer)
            limiter.observe(REFUSED, 1.0 + answer, others=20)
            limiter.observe(REFUSED, 1.0 + answer, others=20)
            assert limiter.limit == 20

    assert 1 < len(tried) <= 10  # twenty refusals in two thousand answers at most
    assert tried[0] >= 100


def test_a_cap_that_is_not_used_is_not_widened() -> None:
    limiter = Limiter(64)
    for others in range(63, 19, -1):
        limiter.observe(REFUSED, 0.0, others=others)
    for answer in range(2_000):
        limiter.observe(GOOD, 1.0 + answer, position=3, others=2)

    assert limiter.limit == 20


@pytest.mark.parametrize("usual", [20, 64])
def test_an_outage_that_refuses_all_teaches_nothing_of_what_the_server_takes(usual: int) -> None:
    limiter = Limiter(64)
    for others in range(63, usual - 1, -1):
        limiter.observe(REFUSED, 0.0, others=others)
    for _ in range(64):
        limiter.observe(GOOD, 1.0, position=usual, others=usual - 1)
    holds = [hold for others in range(usual - 1, -1, -1) if (hold := limiter.observe(REFUSED, 2.0, others=others))]
    for _ in range(usual):
        limiter.observe(GOOD, 4.0, position=1, others=0)

    assert holds == [Hold(1.0, "busy")]
    assert limiter.limit == usual


def test_after_an_outage_starts_are_paced_by_the_last_good_rate() -> None:
    limiter = Limiter(100)
    for answer in range(400):  # 20 a second
        limiter.observe(GOOD, answer / 20)
    hold = [hold for _ in range(200) if (hold := limiter.observe(Failed(ERROR), 20.0))]
    began = 20.0 + hold[0].seconds
    limiter.observe(GOOD, began)
    starts = 0
    for millisecond in range(1_000):
        now = began + millisecond / 1_000
        while limiter.room(0, now) and starts <= 2 * 20:
            limiter.started()
            limiter.observe(GOOD, now)  # so quick that only the pace can bound it
            starts += 1

    assert 20 <= starts <= 2 * 20


def test_a_limit_that_the_server_tells_of_is_minded_once_it_is_scarce() -> None:
    limiter = Limiter(10)
    plenty, scarce = (Answered(b"{}", allowance=Allowance(left, 60.0)) for left in (500, 3))
    limiter.observe(plenty, 0.0)
    assert limiter.room(0, 0.0) == 10

    limiter.observe(scarce, 0.0)
    assert limiter.room(0, 0.0) == 1
    limiter.started()
    assert limiter.room(0, 1.0) == 0
    assert limiter.opens_at(1.0) == pytest.approx(20.0)
    assert limiter.room_for_calls(0, 1.0) == 10

    limiter.observe(plenty, 2.0)
    assert limiter.room(0, 2.0) == 10


def test_a_limit_on_tokens_counts_in_calls_of_the_usual_size() -> None:
    limiter = Limiter(10)
    limiter.observe(Answered(b"{}", 600, 400, Allowance(tokens_left=100_000, tokens_reset=60.0)), 0.0)
    assert limiter.room(0, 0.0) == 10

    limiter.observe(Answered(b"{}", 600, 400, Allowance(tokens_left=6_000, tokens_reset=60.0)), 0.0)
    assert limiter.room(0, 0.0) == 1


def test_the_reason_of_a_hold_tells_nothing_of_a_broken_answer() -> None:
    limiter = Limiter(1)
    secret = Unknown(RequestError("api_error", "not JSON: Dear Dr. Somebody, my results"))
    holds = [hold for _ in range(20) if (hold := limiter.observe(secret, 0.0))]

    assert [hold.reason for hold in holds] == ["unknown: api_error"]


def test_the_last_good_rate_is_not_that_of_a_lane_which_we_hold_back_ourselves() -> None:
    rate = GoodRate()
    for tick in range(1, 101):
        rate.answered(tick * 0.1)
    good = rate.value
    rate.interrupt(11.0)
    for tick in range(60):
        rate.answered(20.0 + tick, slowed=True)  # it opens again, slowly

    assert rate.value == good
    for tick in range(100):
        rate.answered(100.0 + tick)  # at full width, and slow all the same
    assert rate.value is not None
    assert rate.value < 2.0
