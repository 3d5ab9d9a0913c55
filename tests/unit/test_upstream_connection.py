"""One connection against a transport of paper: any bytes, in any pieces, end in the right outcome and never raise."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.domain.outcome import Hostile, Unknown
from batchyard.testing.fault_kinds import GOOD, chunked, head, whole
from batchyard.upstream.connection import Connection
from batchyard.upstream.exchange import Answer, CallLimits, Exchanged

LIMITS = CallLimits(max_answer_bytes=2000, max_header_bytes=500)
ANSWERS = [
    whole(),
    whole(headers=[("connection", "close")]),
    head(headers=[("transfer-encoding", "chunked")]) + chunked(GOOD, 30) + b"0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + whole(),
]


class PaperTransport:
    """Keeps what is written; aborting tells the connection at once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.written = b""
        self.closed = False
        self.unwritten = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.connection.connection_lost(None)

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def get_extra_info(self, _name: str) -> Any:
        return self

    def fileno(self) -> int:
        return 0


class Desk:
    """A connection with its paper transport, and what it told its pool."""

    def __init__(self, limits: CallLimits = LIMITS) -> None:
        self.told: list[str] = []
        self.buffer = bytearray(4096)
        self.connection = Connection(
            limits,
            self.buffer,
            opened=lambda _connection: self.told.append("opened"),
            freed=lambda _connection: self.told.append("freed"),
            lost=lambda _connection: self.told.append("lost"),
        )
        self.transport = PaperTransport(self.connection)
        self.connection.connection_made(cast("asyncio.Transport", self.transport))

    def receive(self, data: bytes) -> None:
        for at in range(0, len(data), len(self.buffer)):
            piece = data[at : at + len(self.buffer)]
            if self.transport.closed:
                return
            self.connection.get_buffer(-1)[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def end(self) -> None:
        if not self.transport.closed:
            self.connection.eof_received()
            self.transport.abort()


def exchange(
    pieces: Sequence[bytes], *, unwritten: int = 0, limits: CallLimits = LIMITS
) -> tuple[Exchanged, list[str]]:
    """Send one request, receive the pieces, then the end; return what it came to and what the pool heard before it."""

    async def scene() -> tuple[Exchanged, list[str]]:
        desk = Desk(limits)
        waiter = desk.connection.send(b"POST", 1e9)
        desk.transport.unwritten = unwritten
        for piece in pieces:
            desk.receive(piece)
        told = list(desk.told)
        desk.end()
        assert desk.told.count("lost") == 1
        return await waiter, told

    return asyncio.run(scene())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ANSWERS), st.lists(st.integers(1, 400), max_size=8))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(answer: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})

    exchanged, told = exchange([answer[here:there] for here, there in pairwise(places)])

    assert isinstance(exchanged, Answer)
    assert (exchanged.status, exchanged.body) == (200, GOOD)
    assert ("freed" in told) == (b"connection: close" not in answer)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_never_raises_and_never_waits_beyond_the_end(pieces: list[bytes]) -> None:
    exchanged, told = exchange(pieces)

    assert not isinstance(exchanged, Answer)
    assert "freed" not in told


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(ANSWERS), st.integers(0, 100), st.binary(min_size=1, max_size=3))
def test_a_damaged_head_never_raises(answer: bytes, at: int, damage: bytes) -> None:
    exchange([answer[:at] + damage + answer[at + len(damage) :]])


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_shorter_answer_is_unknown(answer: bytes) -> None:
    for length in range(len(answer)):
        exchanged, _ = exchange([answer[:length]])
        assert isinstance(exchanged, Unknown), length


def test_a_surplus_in_the_same_piece_does_not_spoil_the_answer_and_closes() -> None:
    for surplus in (b"x", whole(), b"HTTP/1.1 100 Continue\r\n\r\n"):
        exchanged, told = exchange([whole() + surplus])
        assert isinstance(exchanged, Answer)
        assert exchanged.body == GOOD
        assert told == ["opened", "lost"]


def test_a_surplus_after_the_answer_closes() -> None:
    exchanged, told = exchange([whole(), b"x"])
    assert isinstance(exchanged, Answer)
    assert told == ["opened", "freed", "lost"]


def test_a_connection_whose_request_is_not_all_written_is_not_used_again() -> None:
    _, told = exchange([whole()], unwritten=1)
    assert told == ["opened", "lost"]


@pytest.mark.parametrize(
    "answer",
    [
        head(headers=[("x", "y" * 600)]),
        head(headers=[("x", "y")] * 200),
        whole(headers=[("x", "y" * 600)]),
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 600,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 30,
        head(headers=[("content-length", "2001")]),
        head(headers=[("transfer-encoding", "chunked")]) + chunked(b"x" * 2001, 100),
        head() + b"x" * 2001,
        head(headers=[("content-encoding", "br"), ("content-length", "1")]),
    ],
)
def test_what_is_beyond_a_cap_is_hostile_before_it_ends(answer: bytes) -> None:
    exchanged, told = exchange([answer])
    assert isinstance(exchanged, Hostile)
    assert told == ["opened", "lost"]


def test_an_answer_at_its_caps_is_taken() -> None:
    body = b"x" * 2000
    for answer in (whole(body), head(headers=[("transfer-encoding", "chunked")]) + chunked(body, 500) + b"0\r\n\r\n"):
        exchanged, _ = exchange([answer])
        assert isinstance(exchanged, Answer)
        assert exchanged.body == body


def test_headers_are_in_lower_case_and_the_first_of_two_counts() -> None:
    exchanged, _ = exchange([whole(headers=[("Retry-After", "1"), ("RETRY-AFTER", "2"), ("x-empty", "")])])
    assert isinstance(exchanged, Answer)
    assert exchanged.headers["retry-after"] == "1"
    assert exchanged.headers["x-empty"] == ""
