"""Spans: one for each attempt with a link to its create, one for each batch in the create's trace."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from batchyard import traces
from batchyard.domain.batch import Counts
from batchyard.domain.call_events import CallFinished
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.events import AttemptFinished, BatchDeleted, BatchEnded, Event
from batchyard.domain.usage import Usage
from batchyard.traces import Traces

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ENDED = int(NOW.timestamp()) * 10**9
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CREATES = {"b1": f"00-{TRACE}-{SPAN}-01", "b2": f"00-{TRACE}-{SPAN}-00"}


def spans(*events: Event, creates: Mapping[str, str] = CREATES) -> list[ReadableSpan]:
    """Return the spans that are sent of these events."""
    sent = InMemorySpanExporter()

    async def look(batches: Collection[str]) -> Mapping[str, str]:
        return {batch: creates[batch] for batch in batches if batch in creates}

    async def go() -> list[ReadableSpan]:
        maker = Traces(sent, look, lambda: NOW)
        for event in events:
            maker(event)
        await maker.close()
        return list(sent.get_finished_spans())

    return asyncio.run(go())


def attempt(batch: str = "b1", outcome: str = "answered", reason: str = "") -> AttemptFinished:
    used = Usage(10, 20, 30, 40) if outcome == "answered" else Usage()
    return AttemptFinished(batch, 7, 2, outcome, 1.5, "up", "m", used, reason, is_repeat=True)


def test_an_attempt_is_a_trace_of_its_own_with_a_link_to_its_create() -> None:
    [span] = spans(attempt())

    assert (span.name, span.kind, span.parent) == ("chat m", SpanKind.CLIENT, None)
    assert (span.start_time, span.end_time) == (ENDED - 1_500_000_000, ENDED)
    [link] = span.links
    assert (link.context.trace_id, link.context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert span.context is not None
    assert span.context.trace_id != int(TRACE, 16)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "up",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 80,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 40,
        "batchyard.batch.id": "b1",
        "batchyard.request.seq": 7,
        "batchyard.attempt": 2,
        "batchyard.attempt.is_repeat": True,
        "batchyard.outcome": "answered",
    }


def test_a_failed_attempt_says_why_and_used_nothing() -> None:
    [span] = spans(attempt(outcome="notstarted", reason="rate_limit_error"))

    facts = dict(span.attributes or {})
    assert facts["error.type"] == "rate_limit_error"
    assert span.status.status_code is StatusCode.ERROR
    assert not [name for name in facts if name.startswith("gen_ai.usage")]


def test_a_batch_belongs_to_the_trace_of_its_create() -> None:
    [span] = spans(BatchEnded("b1", "w", Counts(succeeded=3, errored=1), 60.0))

    assert span.name == "batch"
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert (span.start_time, span.end_time) == (ENDED - 60 * 10**9, ENDED)
    assert (span.attributes or {})["batchyard.requests.errored"] == 1


def test_without_a_span_of_the_create_there_is_no_link_and_a_deleted_batch_has_none() -> None:
    [one, two] = spans(attempt("b3"), BatchEnded("b3", "w", Counts(), 1.0))

    assert (list(one.links), two.parent) == ([], None)


def test_what_the_client_does_not_record_is_not_recorded() -> None:
    assert spans(attempt("b2"), BatchEnded("b2", "w", Counts(), 1.0)) == []


def call(span: str = CREATES["b1"], outcome: str = "answered", *, streamed: bool = False) -> CallFinished:
    used = Usage(10, 20) if outcome == "answered" and not streamed else Usage()
    return CallFinished(outcome, 2.5, streamed, "" if outcome == "answered" else "api_error", "up", "m", used, span)


def test_a_call_belongs_to_the_trace_of_its_caller() -> None:
    [span] = spans(call())

    assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert (span.start_time, span.end_time) == (ENDED - 2_500_000_000, ENDED)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "up",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "batchyard.outcome": "answered",
        "batchyard.streamed": False,
    }


def test_a_call_without_a_span_of_its_caller_is_a_trace_of_its_own() -> None:
    [failed, streamed] = spans(call("", "failed"), call("", streamed=True))

    assert (failed.parent, streamed.parent) == (None, None)
    assert (failed.attributes or {})["error.type"] == "api_error"
    assert failed.status.status_code is StatusCode.ERROR
    for span in (failed, streamed):
        assert not [name for name in span.attributes or {} if name.startswith("gen_ai.usage")]


def test_a_call_that_its_caller_does_not_record_is_not_recorded() -> None:
    assert spans(call(CREATES["b2"])) == []


def test_other_events_are_no_spans() -> None:
    assert spans(BatchDeleted("b1", "w")) == []


def test_what_is_too_much_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(traces, "MOST_WAITING", 1000)

    assert len(spans(*[attempt()] * 1500)) == 1000
    assert "500 spans were left out" in caplog.text


def test_a_store_that_does_not_answer_costs_the_links_alone(caplog: pytest.LogCaptureFixture) -> None:
    sent = InMemorySpanExporter()

    async def look(_: Collection[str]) -> Mapping[str, str]:
        raise StoreUnavailable("gone")

    async def go() -> None:
        maker = Traces(sent, look, lambda: NOW)
        maker(attempt())
        await maker.close()

    asyncio.run(go())

    [span] = sent.get_finished_spans()
    assert list(span.links) == []
    assert "spans without their links" in caplog.text
