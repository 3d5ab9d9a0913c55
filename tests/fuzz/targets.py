"""What the fuzzer drives: each target takes any bytes and raises only where a promise is broken.

The first byte or two choose how the rest is cut and judged, so that the fuzzer finds its way through those too.
"""

from collections.abc import Callable, Iterator, Sequence
from unittest.mock import patch

import msgspec

from batchyard.domain.assemble import Assembly
from batchyard.domain.errors import BatchyardError, InvalidRequest
from batchyard.domain.outcome import Outcome
from batchyard.domain.params import Params, check_count, check_params
from batchyard.domain.result import RequestError
from batchyard.domain.servers import SERVERS
from batchyard.domain.splice import splice
from batchyard.domain.sse import EventReader
from batchyard.domain.stream import StreamWatch
from batchyard.intake import outline, requests
from batchyard.intake.body import Intake, Limits
from batchyard.upstream.chat_answer import Asked
from batchyard.upstream.chat_stream import ChatEvents
from tests.fuzz.reference import reference

VERSIONS = ("2023-06-01", "2026-10-21")
BETAS: Sequence[tuple[str, ...]] = ((), ("output-128k-2025-02-19",), ("interleaved-thinking-2025-05-14", "x"))


def cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def intake(given: bytes) -> None:
    """A body is taken or refused however it is cut, and taken only if it is strict JSON of the form."""
    chunk, window, body = 1 + given[0], 1 + 4 * given[1], given[2:]
    limits = Limits(max_requests=50, max_body_bytes=len(body), max_request_bytes=4096)
    whole, in_chunks = taken(body, [body], limits, 1 << 18), taken(body, list(cut(body, chunk)), limits, window)
    with patch.object(requests, "LARGE_BYTES", 1), patch.object(outline, "BLOCK_BYTES", 2 + given[0] % 64):
        in_pieces = taken(body, [body], limits, 1)
    assert whole == in_chunks == in_pieces, (whole, in_chunks, in_pieces)
    found = reference(body) if len(body) < 4096 else None
    if isinstance(whole, list):
        assert found is not None
        assert [custom_id for custom_id, _ in found] == [custom_id for custom_id, _ in whole]
    elif len(body) < 1000 and "nesting" not in whole and "at most 50 items" not in whole:
        assert found is None, whole


def taken(body: bytes, chunks: Sequence[bytes], limits: Limits, window: int) -> list[tuple[str, bytes]] | str:
    """Return the custom_ids and params, or what is wrong."""
    reading = Intake(limits, window_bytes=window)
    pieces: list[bytes] = []
    refusal: BatchyardError | None = None
    try:
        for chunk in chunks:
            pieces += map(bytes, reading.feed(chunk))
            while reading.is_behind:
                pieces += map(bytes, reading.feed(b""))
        pieces += map(bytes, reading.finish())
    except BatchyardError as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal, InvalidRequest) or len(body) > limits.max_request_bytes
        assert len(refusal.message) < 1000
        return refusal.message
    blob, drafts = b"".join(pieces), reading.drafts
    assert len(blob) == sum(drafts.lengths)
    places = zip(drafts.custom_ids, drafts.offsets, drafts.lengths, strict=True)
    return [(custom_id, blob[offset : offset + length]) for custom_id, offset, length in places]


def events(given: bytes) -> None:
    """A stream is read alike however it was cut, and comes to an outcome whatever it holds."""
    size, body = 1 + given[0], given[2:]
    server = KINDS[given[1] % len(KINDS)]
    assert read_events([body]) == read_events(list(cut(body, size)))
    told = []
    for chunks in ([body], list(cut(body, size))):
        assembly, watch, chat = Assembly(100_000, server), StreamWatch(), ChatEvents(ASKED)
        out = b""
        for chunk in chunks:
            assembly.feed(chunk)
            watch.feed(chunk)
            out += chat.feed(chunk)
        outcome = assembly.message()
        assert isinstance(outcome, Outcome)
        if not chat.ended and chat.outcome is None:
            assert isinstance(chat.broken_off(), Outcome)
        told.append((repr(outcome), watch.ended, watch.failed, out.count(b"\n\n"), chat.ended, repr(chat.outcome)))
    assert told[0] == told[1], told


ASKED = Asked("m", shows_thinking=True)
KINDS = tuple(SERVERS.values())


def read_events(chunks: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def params(given: bytes) -> None:
    """Params are right, or have one flaw in words of bounded length; nothing raises, and twice is the same."""
    how, body = given[0], given[1:]
    version, betas, batched = VERSIONS[how & 1], BETAS[(how >> 1) % 3], bool(how & 8)
    judged = check_params(body, version=version, betas=betas, batched=batched)
    assert judged == check_params(body, version=version, betas=betas, batched=batched)
    counted = check_count(body, version=version, betas=betas)
    for one in (judged, counted):
        assert isinstance(one, Params | RequestError)
        if isinstance(one, RequestError):
            assert len(one.message) < 2000, len(one.message)
    if isinstance(judged, Params):
        before, after = members(body), members(splice(body, "model", b'"another"'))
        assert after == {**before, "model": b'"another"'}


def members(json: bytes) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in msgspec.json.decode(json, type=dict[str, msgspec.Raw]).items()}


TARGETS: dict[str, Callable[[bytes], None]] = {"intake": intake, "events": events, "params": params}
LEAST = 2
"""Bytes that every target needs."""
