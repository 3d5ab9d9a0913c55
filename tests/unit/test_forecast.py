"""When is it done: the shares of others, the rate of late, and the deadline."""

from dataclasses import replace
from datetime import timedelta

from batchyard.domain.batch import Batch, Closing, Counts, Status
from batchyard.domain.forecast import Forecast, Open, Wait, ahead, forecast, rate
from batchyard.domain.usage import Minute
from batchyard.testing.factories import DAY, NOW, later

BATCH = Batch(
    id="b1",
    workspace="w1",
    status=Status.IN_PROGRESS,
    counts=Counts(processing=100, succeeded=20),
    created_at=NOW,
    expires_at=NOW + DAY,
    version="2023-06-01",
    betas=(),
    body="b1.body",
)
MINE = Open("b1", "w1", 100)
THIS_MINUTE = int(NOW.timestamp()) // 60


def final(minutes_ago: int, requests: int) -> Minute:
    return Minute(THIS_MINUTE - minutes_ago, requests, 0, 0, 0)


def test_a_batch_alone_has_nobody_ahead() -> None:
    assert ahead(MINE, [MINE]) == 0


def test_a_small_batch_waits_for_its_share_of_a_large_one_and_not_for_its_end() -> None:
    assert ahead(Open("b1", "w1", 10), [Open("b2", "w1", 100_000)]) == 10
    assert ahead(Open("b1", "w1", 10), [Open("b2", "w2", 100_000)]) == 10


def test_a_large_batch_waits_for_the_whole_of_small_ones() -> None:
    assert ahead(MINE, [Open("b2", "w1", 3), Open("b3", "w1", 4), Open("b4", "w2", 5)]) == 12


def test_workspaces_have_shares_and_not_their_batches() -> None:
    many = [Open(f"c{number}", "w2", 50) for number in range(20)]

    assert ahead(MINE, [MINE, *many]) == 100


def test_the_rate_is_of_the_last_minutes_and_of_the_time_since_batches_run() -> None:
    assert rate([], NOW, NOW) is None
    assert rate([final(60, 1000)], NOW, later(-9000)) is None
    assert rate([final(5, 150), final(2, 150)], NOW, later(-9000)) == 1.0
    assert rate([final(1, 60)], NOW, later(-30)) == 2.0
    assert rate([final(0, 7)], NOW, NOW) == 7.0


def test_a_forecast_is_what_is_open_at_the_rate_of_late() -> None:
    told = forecast(BATCH, [MINE, Open("b2", "w2", 1000)], 2.0, NOW)

    assert told == Forecast(2.0, 100, 100, later(100), "none")


def test_the_risk_is_told_by_the_deadline() -> None:
    left = BATCH.expires_at - NOW
    for share, risk in ((0.5, "none"), (0.9, "tight"), (1.1, "late")):
        speed = 100 / (share * left.total_seconds())
        assert forecast(BATCH, [MINE], speed, NOW).risk == risk
    endless = forecast(BATCH, [MINE], 1e-300, NOW)
    assert (endless.done_at, endless.risk) == (None, "late")


def test_nobody_knows_where_nothing_moves_or_may_move() -> None:
    for told in (
        forecast(BATCH, [MINE], None, NOW),
        forecast(replace(BATCH, paused=True), [MINE], 2.0, NOW),
        forecast(BATCH, [MINE], 2.0, NOW, [Wait("gpu is left alone")]),
    ):
        assert (told.done_at, told.risk) == (None, "unknown")
    assert forecast(replace(BATCH, paused=True), [MINE], 2.0, NOW).waits_for == ("it is paused",)


def test_a_closing_batch_waits_for_calls_in_flight_and_an_ended_one_for_nothing() -> None:
    closing = forecast(replace(BATCH, closing=Closing.CANCELED, status=Status.CANCELING), [], 2.0, NOW)
    ended = replace(BATCH, status=Status.ENDED, counts=Counts(succeeded=120), ended_at=NOW + timedelta(hours=1))

    assert closing.waits_for == ("it is being canceled: only calls in flight are waited for",)
    assert forecast(ended, [], 2.0, NOW) == Forecast(2.0, 0, 0, None, "none")


def test_what_waits_for_hours_is_reckoned_from_when_they_begin() -> None:
    until, sooner = later(7200), later(3600)
    both = forecast(BATCH, [MINE], 2.0, NOW, [Wait("a", until), Wait("b", sooner), Wait("a", None)])

    assert both.done_at == sooner + timedelta(seconds=MINE.requests / 2.0)
    assert both.waits_for == ("a", "b")
    assert forecast(BATCH, [MINE], 2.0, NOW, [Wait("a", later(-5))]).done_at == NOW + timedelta(seconds=50)
    assert forecast(replace(BATCH, paused=True), [MINE], 2.0, NOW, [Wait("a", until)]).done_at is None


def test_what_begins_after_the_deadline_is_late_though_nobody_knows_how_fast() -> None:
    assert forecast(BATCH, [MINE], None, NOW, [Wait("a", BATCH.expires_at)]).risk == "late"
    assert forecast(BATCH, [MINE], None, NOW, [Wait("a", later(60))]).risk == "unknown"
