"""What the benchmarks measure with: the mock model server, the made-up requests, the figures and their table."""

import asyncio
import json
from pathlib import Path

import pytest
from bench import inputs, mock, report
from bench.figures import Figure

POST = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


class Hands:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def process_time(self) -> float:
        return self.at


def connected(server: mock.Mock) -> tuple[mock.Connection, Wire]:
    connection, wire = mock.Connection(server), Wire()
    connection.connection_made(wire)
    return connection, wire


def at_once(*, faults: bool = False) -> mock.Mock:
    return mock.Mock(0.0, 0.0, 40, faults=faults)


def test_the_mock_answers_a_request_however_it_is_cut() -> None:
    for cut in range(1, len(POST)):
        server = at_once()
        connection, wire = connected(server)

        connection.data_received(POST[:cut])
        connection.data_received(POST[cut:])

        assert wire.written == [server.success]
        assert server.tally.calls == 1


def test_the_mock_reads_requests_that_come_together_and_small_letters() -> None:
    server = at_once()
    connection, wire = connected(server)

    connection.data_received(POST.replace(b"Content-Length", b"content-length") + POST + POST[:-1])

    assert len(wire.written) == 2
    assert server.tally.calls == 2


def test_the_mock_answers_with_a_whole_message() -> None:
    head, _, body = at_once().success.partition(b"\r\n\r\n")

    message = json.loads(body)

    assert f"content-length: {len(body)}".encode() in head
    assert message["type"] == "message"
    assert message["stop_reason"] == "end_turn"
    assert len(message["content"][0]["text"]) == 40


def test_the_mock_counts_the_time_of_slots_and_answers_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands()
    monkeypatch.setattr(mock, "time", hands)

    async def scene() -> mock.Mock:
        server = mock.Mock(2.0, 0.0, 40, faults=False)
        (first, first_wire), (second, _) = connected(server), connected(server)
        first.data_received(POST)
        hands.at = 101.0
        second.data_received(POST)
        hands.at = 102.0
        server.tick()
        assert (len(first_wire.written), server.tally.in_flight) == (1, 1)
        hands.at = 102.5
        second.connection_lost(None)
        return server

    tally = asyncio.run(scene()).tally

    assert (tally.most_in_flight, tally.in_flight, tally.cut) == (2, 0, 1)
    assert tally.slot_seconds == pytest.approx(2.0 + 1.5)
    assert (tally.first_at, tally.last_at) == (100.0, 102.0)


def test_the_mock_mixes_faults_in_their_shares() -> None:
    server = at_once(faults=True)

    for _ in range(20_000):
        connected(server)[0].data_received(POST)

    answers = server.tally.answers
    assert sum(answers.values()) == 20_000
    for kind, share in mock.FAULTS.items():
        assert answers[kind] / 20_000 == pytest.approx(share, rel=0.25)


def test_made_up_requests_have_the_size_asked_for(tmp_path: Path) -> None:
    body = inputs.batch_body(tmp_path, 12, 300)

    requests = json.loads(body.read_bytes())["requests"]

    assert len({request["custom_id"] for request in requests}) == 12
    assert {len(json.dumps(request, separators=(",", ":"))) for request in requests} == {300}


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("F1", "cpu", "s", 0.04, 1 / 20, 1.0, "a loop"), True),
        (Figure("F1", "cpu", "s", 0.06, 1 / 20, 1.0, "a loop"), False),
        (Figure("F7", "speed", "MB/s", 300, 1 / 5, 1000, "blocks", at_most=False), True),
        (Figure("F3", "slots", "", 0.94, 0.95, 0.2, "a loop", at_most=False, alone=True), False),
        (Figure("F1", "cpu", "s", None, 1 / 20, 1.0, "a loop"), None),
        (Figure("F2", "cpu", "s", 0.04, 5, None, "wrk"), None),
    ],
)
def test_a_figure_knows_whether_its_rule_is_met(figure: Figure, met: bool | None) -> None:
    assert figure.is_met is met
    assert Figure.read(figure.line()) == figure


def test_the_table_shows_place_figures_and_ratios() -> None:
    figure = Figure("F1", "cpu", "s", 0.04, 1 / 20, 1.0, "a loop")

    made = report.table([json.dumps({"date": "today"}), figure.line()])

    assert made.splitlines()[0] == "- date: today"
    assert made.splitlines()[-1] == "| F1 | cpu | 0.040 s | 1.00 s (a loop) | 1/25 | at most 1/20 | yes |"
