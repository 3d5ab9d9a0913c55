"""The limiter: noise costs nothing, overload narrows, silence holds, probes open again."""

from batchyard.domain.limiter import LONGEST_HOLD, Hold, Limiter
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


def test_the_reason_of_a_hold_tells_nothing_of_a_broken_answer() -> None:
    limiter = Limiter(1)
    secret = Unknown(RequestError("api_error", "not JSON: Dear Dr. Somebody, my results"))
    holds = [hold for _ in range(20) if (hold := limiter.observe(secret, 0.0))]

    assert [hold.reason for hold in holds] == ["unknown: api_error"]
