"""Whatever the document and however it is cut into chunks: the answer is that of a strict parser of whole documents."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchyard.domain.errors import BatchyardError
from batchyard.intake.body import Intake, Limits
from batchyard.intake.requests import Piece
from batchyard.intake.scan import Scanner, TooDeep, nesting
from tests.fuzz.reference import reference, strict

MANY = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Cutting:
    """How a body reaches the intake: sizes of its chunks, one after another and round again, and the window."""

    chunks: tuple[int, ...]
    window: int


WHOLE = Cutting((1 << 30,), 1 << 18)
cuttings = st.builds(
    Cutting,
    st.lists(st.integers(1, 200), min_size=1, max_size=5).map(tuple),
    st.sampled_from([1, 20, 60, 150, 400, 1 << 18]),
)


def fed(body: bytes, cutting: Cutting, limits: Limits) -> tuple[Intake, bytes]:
    intake = Intake(limits, window_bytes=cutting.window)
    pieces: list[Piece] = []
    start = turn = 0
    while start < len(body):
        size = cutting.chunks[turn % len(cutting.chunks)]
        pieces += intake.feed(body[start : start + size])
        start, turn = start + size, turn + 1
    pieces += intake.finish()
    return intake, b"".join(pieces)


def answer(body: bytes, cutting: Cutting, limits: Limits | None = None) -> Any:
    """Return the error, or every request with its params and model."""
    try:
        intake, blob = fed(body, cutting, limits or Limits())
    except BatchyardError as error:
        return (error.type, error.message)
    names = list(intake.drafts.model_names)
    rows = []
    for custom_id, offset, length, crc, _, model in intake.drafts.rows():
        params = blob[offset : offset + length]
        assert crc32(params) == crc
        rows.append((custom_id, params, names[model]))
    return rows


BLANKS = ["", "", "", "", " ", "\n", "\t ", "\r\n    "]
STRINGS = [
    "", "a", "hello there", '}],{"custom_id":', '"', "\\", '\\"', "\x00", "😀", "é", "[{[{", '},{"params":{}',
    "\u2028", "x" * 70,
]  # fmt: skip
KEYS = ["custom_id", "params", "requests", "model", "messages", "", "\\", "ü"]
SCALARS = [None, True, False, 0, -1, 10**30, 1.5, 1e300, -0.0]


def a_value(random: Random, depth: int = 0) -> Any:
    match random.randrange(7 if depth < 4 else 5):
        case 5:
            return [a_value(random, depth + 1) for _ in range(random.randrange(4))]
        case 6:
            return an_object(random, depth + 1)
        case even if even % 2:
            return random.choice(SCALARS)
        case _:
            return random.choice(STRINGS)


def an_object(random: Random, depth: int = 0) -> dict[str, Any]:
    return {random.choice(KEYS): a_value(random, depth + 1) for _ in range(random.randrange(4))}


def a_body(random: Random) -> tuple[bytes, list[tuple[str, bytes, str]]]:
    """Return a right body, and what must become of it."""

    def blank() -> str:
        return random.choice(BLANKS)

    rows, written = [], []
    for number in range(random.randint(1, 12)):
        value = an_object(random)
        params = json.dumps(value, ensure_ascii=random.random() < 0.5, indent=random.choice([None, None, 1]))
        custom_id, model = f"r-{number}", value.get("model")
        rows.append((custom_id, params.encode(), model if isinstance(model, str) and "\0" not in model else ""))
        both = [f'"custom_id"{blank()}:"{custom_id}"', f'"params":{blank()}{params}']
        random.shuffle(both)
        written.append(f"{blank()}{{{blank()}{both[0]}{blank()},{blank()}{both[1]}{blank()}}}{blank()}")
    body = f'{blank()}{{{blank()}"requests":{blank()}[{",".join(written)}]{blank()}}}{blank()}'
    return body.encode(), rows


randoms = st.builds(Random, st.integers(0, 2**32))
"""Bodies are built by hand from a seed: ten times as many a second as strategies all the way down give."""


@given(randoms, cuttings)
@MANY
def test_a_right_body_is_split_into_what_was_written(random: Random, cutting: Cutting) -> None:
    body, rows = a_body(random)

    assert answer(body, cutting) == rows


TOKENS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\\\", b"\\u", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00",
    b"\x00", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"0", b"-", b".", b"e", b"NaN", b"null", b" ", b"\n", b"\x0c",
    b'"custom_id"', b'"params"', b'"requests":', b'"requests":[],', b'{"custom_id":"r-1","params":{}}', b"},{", b"}]}",
    b'"x":1,', b"r-1",
]  # fmt: skip


def mutated(random: Random) -> bytes:
    """Return a body with a few bytes put in, cut out, changed or repeated."""
    body = bytearray(a_body(random)[0])
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(body) + 1)
        match random.randrange(4):
            case 0:
                body[at:at] = random.choice(TOKENS)
            case 1:
                del body[at : at + random.randint(1, 8)]
            case 2 if at < len(body):
                body[at] = random.choice(b'{}[],:"\\u019adefE.-+ntl \n\x00\x80\xff')
            case _:
                start = random.randrange(len(body) + 1)
                body[at:at] = body[start : start + random.randint(1, 60)]
    return bytes(body)


mutants = randoms.map(mutated)


@given(mutants, cuttings)
@example(b'{"requests":[{"custom_id":"a","params":{"k":"\\ud800"}},{"custom_id":"b","params":{}}]}', Cutting((7,), 20))
@MANY
def test_a_mutated_body_is_accepted_only_where_a_strict_parser_accepts_it(body: bytes, cutting: Cutting) -> None:
    expected = reference(body)

    got = answer(body, cutting)

    assert got == answer(body, WHOLE)
    if expected is None:
        assert isinstance(got, tuple), got
    else:
        assert isinstance(got, list), got
        assert [(custom_id, strict(params)) for custom_id, params, _ in got] == expected


@given(mutants, cuttings, st.integers(1, 200), st.integers(1, 12))
@MANY
def test_limits_give_the_same_answer_however_the_body_is_cut(
    body: bytes, cutting: Cutting, max_request_bytes: int, max_requests: int
) -> None:
    limits = Limits(max_requests=max_requests, max_request_bytes=max_request_bytes)

    got = answer(body, cutting, limits)

    assert got == answer(body, WHOLE, limits)
    if isinstance(got, list):
        assert got == answer(body, WHOLE)
        assert len(got) <= max_requests


@given(
    st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b"a", b"1", b" "]), min_size=1, max_size=60),
    cuttings,
)
@MANY
def test_the_end_of_a_value_does_not_depend_on_the_cutting(parts: list[bytes], cutting: Cutting) -> None:
    text = b"".join(parts)

    def end(sizes: tuple[int, ...]) -> int | None:
        scanner, buffer, turn, seen = Scanner(5), bytearray(), 0, -1
        while len(buffer) < len(text) or seen < scanner.seen:
            if seen == scanner.seen or not buffer:
                size = sizes[turn % len(sizes)]
                buffer += text[len(buffer) : len(buffer) + size]
                turn += 1
            seen = scanner.seen
            try:
                found = scanner.end(buffer, 0, whole=len(buffer) == len(text))
            except TooDeep as deep:
                return -deep.size
            if found is not None:
                return found
        return None

    assert end(cutting.chunks) == end((1 << 30,)) == end((1,))


@given(randoms)
@MANY
def test_nesting_counts_the_brackets_outside_of_strings(random: Random) -> None:
    def depth(value: Any) -> int:
        if isinstance(value, dict | list):
            return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
        return 0

    value = a_value(random)

    assert nesting(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize("window", [50, 300, 1 << 18])
def test_a_long_body_is_the_same_at_every_window(window: int) -> None:
    rows = [(f"r{i}", json.dumps({"model": "m", "text": 'x\\"{[' * (i % 50)}).encode(), "m") for i in range(3_000)]
    body = b'{"requests":[%s]}' % b",".join(b'{"custom_id":"%s","params":%s}' % (i.encode(), p) for i, p, _ in rows)

    assert answer(body, Cutting((997,), window)) == rows
