"""Metrics: every event is counted where an operator looks for it, and what never was is 0 and not absent."""

from batchyard.domain import events
from batchyard.domain.batch import Counts
from batchyard.domain.call_events import CallAnswered, CallFinished, TurnFinished
from batchyard.domain.usage import Usage
from batchyard.metrics import TROUBLE, Gauge, Metrics, name_of


def rendered(*seen: events.Event, now: tuple[Gauge, ...] = ()) -> str:
    metrics = Metrics()
    for event in seen:
        metrics.observe(event)
    return metrics.render(now).decode()


def attempt(outcome: str, seconds: float, usage: Usage | None = None, *, again: bool = False) -> events.Event:
    return events.AttemptFinished("b", 0, 1, outcome, seconds, "up", "m", usage or Usage(), is_repeat=again)


def test_attempts_are_counted_by_upstream_and_outcome() -> None:
    text = rendered(attempt("answered", 0.2, Usage(10, 20, 30, 40, 5)), attempt("hung", 600.5, again=True))

    for line in (
        'batchyard_attempts_total{outcome="answered",upstream="up"} 1.0',
        'batchyard_attempts_total{outcome="hung",upstream="up"} 1.0',
        'batchyard_attempts_total{outcome="hostile",upstream="up"} 0.0',
        'batchyard_attempt_seconds_bucket{le="0.1",upstream="up"} 0.0',
        'batchyard_attempt_seconds_bucket{le="0.25",upstream="up"} 1.0',
        'batchyard_attempt_seconds_bucket{le="+Inf",upstream="up"} 2.0',
        'batchyard_attempt_seconds_sum{upstream="up"} 600.7',
        'batchyard_tokens_total{direction="input",upstream="up"} 10.0',
        'batchyard_tokens_total{direction="output",upstream="up"} 20.0',
        'batchyard_tokens_total{direction="cache_read",upstream="up"} 30.0',
        'batchyard_tokens_total{direction="cache_write",upstream="up"} 40.0',
        'batchyard_repeats_total{upstream="up"} 1.0',
    ):
        assert line in text


def test_batches_and_their_requests_are_counted() -> None:
    text = rendered(
        events.BatchCreated("b", "w", 7),
        events.CancelAsked("b", "w"),
        events.BatchEnded("b", "w", Counts(succeeded=5, errored=2), 100.0),
        events.BatchDeleted("b", "w"),
        events.CarrierMade("c", "up", "b", 7),
        events.CarrierEnded("c", "up", "lost", 2.0),
        events.LeasesReclaimed("o", 3),
    )

    for line in (
        "batchyard_requests_taken_total 7.0",
        'batchyard_batches_total{event="created"} 1.0',
        'batchyard_batches_total{event="cancel_asked"} 1.0',
        'batchyard_batches_total{event="expired"} 0.0',
        'batchyard_batches_total{event="deleted"} 1.0',
        'batchyard_requests_total{result="errored"} 2.0',
        'batchyard_requests_total{result="expired"} 0.0',
        'batchyard_batch_seconds_bucket{le="60"} 0.0',
        'batchyard_batch_seconds_bucket{le="300"} 1.0',
        'batchyard_carriers_total{event="lost"} 1.0',
        'batchyard_carriers_total{event="adopted"} 0.0',
        "batchyard_leases_reclaimed_total 3.0",
    ):
        assert line in text


def test_calls_turns_and_answers_are_timed() -> None:
    text = rendered(
        CallAnswered("r", "GET", "/v1/messages/batches", 404, 0.02),
        CallFinished("answered", 2.0, streamed=True),
        TurnFinished(0.004, 10, 10),
    )

    for line in (
        'batchyard_http_answers_total{method="GET",route="/v1/messages/batches",status="404"} 1.0',
        'batchyard_http_seconds_bucket{le="0.01",method="GET",route="/v1/messages/batches"} 0.0',
        'batchyard_http_seconds_count{method="GET",route="/v1/messages/batches"} 1.0',
        'batchyard_calls_total{outcome="answered"} 1.0',
        'batchyard_call_seconds_bucket{le="2.5"} 1.0',
        'batchyard_turn_seconds_bucket{le="0.0025"} 0.0',
        'batchyard_turn_seconds_bucket{le="0.005"} 1.0',
    ):
        assert line in text


def test_trouble_that_never_was_is_0_and_rises_when_it_comes() -> None:
    quiet, loud = rendered(), rendered(events.StoreFailed("commit", "full"))

    for kind in TROUBLE:
        assert f'batchyard_trouble_total{{event="{name_of(kind)}"}} 0.0' in quiet
    assert 'batchyard_trouble_total{event="store_failed"} 1.0' in loud


def test_gauges_of_one_name_are_one_family_of_the_moment() -> None:
    metrics = Metrics()
    both = tuple(Gauge("batchyard_lane_taken", "Slots.", number, {"lane": str(number)}) for number in (1, 2))

    text = metrics.render(both).decode()

    assert text.count("# TYPE batchyard_lane_taken gauge") == 1
    assert 'batchyard_lane_taken{lane="2"} 2.0' in text
    assert "batchyard_lane_taken" not in metrics.render().decode()


def test_the_process_itself_is_in_them() -> None:
    assert "process_resident_memory_bytes" in rendered()
