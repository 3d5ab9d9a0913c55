"""The client side of a server that takes batches: what it sends, whom it believes, and how little it holds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchyard.domain.carrier import Standing, UpstreamBatch
from batchyard.domain.carrier_line import CarrierLine
from batchyard.domain.outcome import Answered, Failed, Held, Hostile, Hung, NotStarted, Outcome, Refused, Unknown
from batchyard.ports.batch_upstreams import Absent, CarrierCreate, Listed, TooMuch
from batchyard.testing import fault_kinds
from batchyard.testing.fault_acts import error, head, sends, sends_then_resets, status, whole
from batchyard.testing.fault_kinds import MESSAGE, Speech, chunked
from batchyard.testing.faults import Fault, FaultServer, Wire, in_turn
from batchyard.upstream.batches import BatchesUpstream
from batchyard.upstream.exchange import CallLimits

KEY = "sk-test-0123456789"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BATCH: dict[str, Any] = {
    "id": "msgbatch_01faults",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 11, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-03-02T09:00:01.000000Z",
    "note": "a whole batch, with an ü in it",
}
GOOD = json.dumps(BATCH).encode()
TOLD = UpstreamBatch("msgbatch_01faults", Standing.IN_PROGRESS, 11, NOW + timedelta(seconds=1))
SPEECH = Speech(
    GOOD,
    json.dumps(BATCH, indent=2).encode(),
    json.dumps(BATCH | {"processing_status": None}).encode(),
    json.dumps(BATCH | {"id": None}).encode(),
)
PATIENT = CallLimits(total_seconds=20.0, max_answer_bytes=1_000_000, max_header_bytes=16_384)
HASTY = CallLimits(total_seconds=0.15, max_answer_bytes=1_000_000, max_header_bytes=16_384)
EXPECTED: list[tuple[type, dict[str, Fault]]] = [
    (UpstreamBatch, fault_kinds.well(SPEECH)),
    (Refused, fault_kinds.REFUSED),
    (NotStarted, fault_kinds.NOT_STARTED),
    (Held, fault_kinds.HELD),
    (Failed, fault_kinds.FAILED),
    (Unknown, fault_kinds.unknown(SPEECH)),
    (Hung, fault_kinds.hung(SPEECH)),
    (Hostile, fault_kinds.hostile(SPEECH)),
]
MATRIX = [(name, kind, kinds[name]) for kind, kinds in EXPECTED for name in kinds]
CREATE_SAYS = {"413": TooMuch, "404_model": Held}
RETRIEVE_SAYS = {"404_model": Absent}

Ask = Callable[[BatchesUpstream], Awaitable[Any]]


def a_create(*parts: bytes, betas: tuple[str, ...] = (), version: str = "2026-10-21") -> CarrierCreate:
    async def body() -> AsyncGenerator[bytes, None]:
        for part in parts:
            yield part

    return CarrierCreate("car_1", version, betas, sum(map(len, parts)), body)


def asked(script: Callable[[int], Fault], *asks: Ask, limits: CallLimits = PATIENT) -> tuple[list[Any], FaultServer]:
    """Ask one after the other, close all, and return what came back and the server to be looked at."""

    async def main() -> tuple[list[Any], FaultServer]:
        server = FaultServer(script)
        upstream = BatchesUpstream(await server.start(), KEY, limits, now=lambda: NOW)
        try:
            return [await ask(upstream) for ask in asks], server
        finally:
            await upstream.close()
            await server.close()
            assert server.open_connections == 0

    return asyncio.run(asyncio.wait_for(main(), 30))


async def read_all(upstream: BatchesUpstream) -> tuple[list[CarrierLine], Outcome | Absent | None]:
    """All lines of the results, and what ended them if they did not end well."""
    begun = await upstream.results("msgbatch_1")
    if isinstance(begun, Outcome | Absent):
        return [], begun
    lines: list[CarrierLine] = []
    while True:
        read = await begun.read()
        if isinstance(read, Outcome):
            return lines, read
        if not read:
            return lines, None
        lines += read


@pytest.mark.parametrize(("name", "kind", "fault"), MATRIX, ids=[name for name, _, _ in MATRIX])
def test_each_fault_of_a_create_and_of_a_question_has_its_outcome(name: str, kind: type, fault: Fault) -> None:
    limits = HASTY if kind is Hung else PATIENT
    script = in_turn([fault, fault_kinds.well(SPEECH)["good"], fault], fault_kinds.well(SPEECH)["good"])

    (created, after, found), _ = asked(
        script,
        lambda upstream: upstream.create(a_create(b'{"requests":', b"[]}")),
        lambda upstream: upstream.retrieve("msgbatch_1"),
        lambda upstream: upstream.retrieve("msgbatch_1"),
        limits=limits,
    )

    assert type(created) is CREATE_SAYS.get(name, kind), created
    assert after == TOLD
    assert type(found) is RETRIEVE_SAYS.get(name, kind), found


def test_a_create_says_who_it_is_and_sends_its_body_as_it_was_given() -> None:
    create = a_create(b'{"requests":[', b"1", b"]}", betas=("one", "two"))

    [told], server = asked(
        lambda _: fault_kinds.well(SPEECH)["good"],
        lambda upstream: upstream.create(create),
    )

    [received] = server.received
    assert told == TOLD
    assert received.head.startswith(b"POST /v1/messages/batches HTTP/1.1\r\n")
    assert received.body == b'{"requests":[1]}'
    assert received.header("idempotency-key") == "car_1"
    assert received.header("anthropic-version") == "2026-10-21"
    assert received.header("anthropic-beta") == "one,two"
    assert received.header("x-api-key") == KEY


def test_every_question_goes_to_its_own_path() -> None:
    paths = ["/b1", "/b1/cancel", "/b1", "/b1/results", "?limit=100"]
    [_, _, gone, _, listed], server = asked(
        in_turn(
            [status(200, GOOD), status(200, GOOD), status(200, b'{"id":"b1","type":"message_batch_deleted"}')],
            status(200, b'{"data":[],"has_more":false}'),
        ),
        lambda upstream: upstream.retrieve("b1"),
        lambda upstream: upstream.cancel("b1"),
        lambda upstream: upstream.delete("b1"),
        lambda upstream: upstream.results("b1"),
        lambda upstream: upstream.listed(NOW),
    )

    lines = [one.head.split(b"\r\n")[0].decode().split()[:2] for one in server.received]
    assert [line[0] for line in lines] == ["GET", "POST", "DELETE", "GET", "GET"]
    assert [line[1].removeprefix("/v1/messages/batches") for line in lines] == paths
    assert gone == Absent()
    assert listed == Listed([], timedelta())


def test_a_batch_whose_id_could_lead_elsewhere_is_not_believed() -> None:
    for wrong in ("../keys", "a/b", "a?b", "", "x" * 200, "a\r\nhost: b"):
        [told], _ = asked(
            lambda _, wrong=wrong: status(200, json.dumps(BATCH | {"id": wrong}).encode()),  # type: ignore[misc]
            lambda upstream: upstream.retrieve("b1"),
        )
        assert isinstance(told, Unknown)


def test_an_error_does_not_repeat_our_key() -> None:
    [told], _ = asked(
        lambda _: status(400, error("invalid_request_error", f"no {KEY}")),
        lambda upstream: upstream.create(a_create(b"{}")),
    )
    (lines, _), _ = asked_lines(line("a", {"type": "errored", "error": {"type": "api_error", "message": KEY}}))

    assert isinstance(told, Refused)
    assert told.error.message == "no [key]"
    assert isinstance(lines[0].outcome, Failed)
    assert lines[0].outcome.error.message == "[key]"


def test_too_many_requests_are_too_much() -> None:
    said = "requests: List should have at most 10000 items after validation, not 20000"
    [told], _ = asked(
        lambda _: status(400, error("invalid_request_error", said)),
        lambda upstream: upstream.create(a_create(b"{}")),
    )

    assert isinstance(told, TooMuch)


def test_a_create_that_breaks_before_its_body_was_sent_has_not_begun() -> None:
    part = b"x" * 262_144

    async def cuts(wire: Wire) -> None:
        await wire.reader.readexactly(100_000)
        wire.reset()

    [told], _ = asked(
        lambda _: Fault(cuts, reads_body=False),
        lambda upstream: upstream.create(a_create(*[part] * 400)),
    )

    assert isinstance(told, NotStarted), told


def test_little_of_a_large_create_is_held_while_the_server_does_not_read() -> None:
    given = 0
    let_go = asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        nonlocal given
        for _ in range(4000):
            given += 1
            yield b"x" * 65_536

    async def reads_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await let_go.wait()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_server(reads_nothing, "127.0.0.1", 0, limit=65_536)
        upstream = BatchesUpstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", KEY)
        creating = asyncio.create_task(upstream.create(CarrierCreate("car_1", "2023-06-01", (), 4000 * 65_536, body)))
        before = -1
        while given != before:  # until nothing moves any more
            before = given
            await asyncio.sleep(0.2)
        creating.cancel()
        await asyncio.gather(creating, return_exceptions=True)
        let_go.set()
        await upstream.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(main(), 30))

    assert 0 < given < 400  # of 4000: what the system's own buffers take


def test_an_answer_in_the_middle_of_a_create_ends_it() -> None:
    async def refuses(wire: Wire) -> None:
        await wire.reader.readexactly(1000)
        await wire.send(whole(error("request_too_large"), 413))
        await wire.hang()

    given = 0

    async def body() -> AsyncGenerator[bytes, None]:
        nonlocal given
        for _ in range(4000):
            given += 1
            yield b"x" * 65_536

    [told], _ = asked(
        lambda _: Fault(refuses, reads_body=False),
        lambda upstream: upstream.create(CarrierCreate("car_1", "2023-06-01", (), 4000 * 65_536, body)),
    )

    assert isinstance(told, TooMuch)
    assert given < 4000


def test_what_the_body_raises_is_raised_and_the_call_is_cut() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b'{"requests":['
        raise OSError("the disk is gone")

    async def ask(upstream: BatchesUpstream) -> str:
        try:
            await upstream.create(CarrierCreate("car_1", "2023-06-01", (), 100, broken))
        except OSError as gone:
            return str(gone)
        return "nothing was raised"

    [told], _ = asked(lambda _: fault_kinds.well(SPEECH)["good"], ask)

    assert told == "the disk is gone"


# --- the list


def test_the_list_is_read_back_to_the_time_that_is_asked_for() -> None:
    def page(first: int, *, more: bool) -> bytes:
        listed = [
            BATCH | {"id": f"b{first + n}", "created_at": (NOW - timedelta(minutes=first + n)).isoformat()}
            for n in range(2)
        ]
        return json.dumps({"data": listed, "has_more": more, "first_id": None, "last_id": None}).encode()

    [listed], server = asked(
        in_turn([status(200, page(0, more=True)), status(200, page(2, more=True))], status(200, page(4, more=True))),
        lambda upstream: upstream.listed(NOW - timedelta(minutes=2, seconds=30)),
    )

    assert isinstance(listed, Listed)
    assert [batch.id for batch in listed.batches] == ["b0", "b1", "b2", "b3", "b4", "b5"][: len(listed.batches)]
    assert len(server.received) in {2, 3}
    assert server.received[1].head.startswith(b"GET /v1/messages/batches?limit=100&after_id=b1 ")


def test_the_list_tells_how_far_the_servers_clock_is_ahead() -> None:
    dated = status(200, b'{"data":[],"has_more":false}', [("date", "Mon, 02 Mar 2026 10:00:00 GMT")])
    [listed], _ = asked(lambda _: dated, lambda upstream: upstream.listed(NOW))

    assert listed == Listed([], timedelta(hours=1))


def test_a_list_that_is_none_is_an_unknown_outcome() -> None:
    for body in (b"[]", b'{"data":7}', b"<html>", b'{"data":[{"id":1}]}'):
        [listed], _ = asked(
            lambda _, body=body: status(200, body),  # type: ignore[misc]
            lambda upstream: upstream.listed(NOW),
        )
        assert isinstance(listed, Unknown), body


# --- results


def line(custom_id: str, result: dict[str, Any]) -> bytes:
    return json.dumps({"custom_id": custom_id, "result": result}, separators=(",", ":")).encode() + b"\n"


def succeeded(custom_id: str) -> bytes:
    return line(custom_id, {"type": "succeeded", "message": MESSAGE})


def asked_lines(*faulty: bytes | Fault, limits: CallLimits = PATIENT) -> tuple[Any, FaultServer]:
    fault = (
        faulty[0] if isinstance(faulty[0], Fault) else sends(whole(b"".join(p for p in faulty if isinstance(p, bytes))))
    )
    [told], server = asked(lambda _: fault, read_all, limits=limits)
    return told, server


def test_each_line_shows_what_became_of_its_request() -> None:
    nested = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}, "request_id": "workerreq_1"}
    texts = [
        succeeded("a"),
        line("b", {"type": "errored", "error": nested}),
        line("c", {"type": "errored", "error": {"type": "invalid_request_error", "message": "flat"}}),
        line("d", {"type": "canceled"}),
        line("e", {"type": "expired"}),
        line("f", {"type": "errored", "error": {"type": "error", "error": {"type": "authentication_error"}}}),
        line("g", {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "m"}}}),
        line("h", {"type": "succeeded", "message": {**MESSAGE, "stop_reason": None}}),
        line("i", {"type": "errored", "error": "what?"}),
    ]

    (lines, end), _ = asked_lines(*texts)

    assert end is None
    kinds = [type(one.outcome) for one in lines]
    assert kinds == [Answered, NotStarted, Refused, NotStarted, NotStarted, Held, Failed, Unknown, Failed]
    assert [one.ended for one in lines] == ["", "", "", "canceled", "expired", "", "", "", ""]
    assert json.loads(lines[0].outcome.message) == MESSAGE
    assert lines[1].outcome.error.request_id == "workerreq_1"
    assert lines[2].outcome.error.message == "flat"


def test_what_is_no_line_is_passed_over() -> None:
    (lines, end), _ = asked_lines(
        b"<html>\n", b"\n", succeeded("a"), b'{"custom_id":7}\n', b"\xff\n", succeeded("b")[:-1]
    )

    assert end is None
    assert [one.custom_id for one in lines] == ["a", "b"]


def test_results_that_are_cut_anywhere_never_end_well() -> None:
    text = b"".join(succeeded(name) for name in "abc")
    answers = [whole(text), head(headers=[("transfer-encoding", "chunked")]) + chunked(text, 64) + b"0\r\n\r\n"]
    for answer in answers:
        cuts = [sends(answer[:length], then_close=True) for length in range(0, len(answer), 7)]
        told, _ = asked(in_turn(cuts, sends(answer)), *[read_all] * (len(cuts) + 1))

        assert all(end is not None for _, end in told[:-1])
        assert [one.custom_id for one in told[-1][0]] == ["a", "b", "c"]


def test_a_reset_after_some_lines_gives_those_and_says_so() -> None:
    text = b"".join(succeeded(name) for name in "abc")
    (lines, end), _ = asked_lines(sends_then_resets(whole(text)[:-20]))

    assert [one.custom_id for one in lines] in (["a", "b"], [])  # a reset may throw away what was not read
    assert isinstance(end, Unknown)


def test_an_endless_line_is_hostile_and_an_endless_answer_is_not() -> None:
    (_, end), _ = asked_lines(fault_kinds.floods(head(headers=[("connection", "close")]), b"x" * 65536))
    assert isinstance(end, Hostile)

    large = b"".join(succeeded(f"r{number}") for number in range(5000))
    assert len(large) > PATIENT.max_answer_bytes
    (lines, end), _ = asked_lines(sends(whole(large)))
    assert (len(lines), end) == (5000, None)


def test_compressed_results_are_hostile_and_missing_ones_absent() -> None:
    (_, end), _ = asked_lines(fault_kinds.HOSTILE["compressed_200"])
    assert isinstance(end, Hostile)

    (_, end), _ = asked_lines(status(404, error("not_found_error", "no available results")))
    assert end == Absent()
