"""The light judgement: five members, nothing else."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.outcome import Answered, Refused
from batchyard.domain.params_pass import refuse
from batchyard.ports import Call
from batchyard.testing.upstreams import ScriptedUpstream
from batchyard.upstream.judged import JudgedUpstream

GOOD = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]'


@pytest.mark.parametrize(
    "raw",
    [
        GOOD + b"}",
        GOOD + b',"stream":false}',
        GOOD + b',"stream":null}',
        *(GOOD + b',"speed":%b}' % speed for speed in (b"null", b'"standard"', b"1.5", b'"faster"', b'["fast"]')),
        GOOD + b',"speed":' + b"[" * 400 + b"]" * 400 + b"}",
        GOOD + b',"speed":"' + b"fast" * 1_000 + b'"}',
        GOOD + b',"temperature":7,"min_p":0.1,"anything":{"at":["all"]},"big":123456789012345678901234567890}',
    ],
)
def test_what_a_model_server_may_understand_passes(raw: bytes) -> None:
    assert refuse(raw) is None


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (GOOD + b',"stream":true}', '"stream=True" is not supported in the Message Batches API'),
        (GOOD + b',"stream":"yes"}', "stream: Input should be a valid boolean"),
        (GOOD + b',"speed":"fast"}', "speed: fast mode is not supported in the Message Batches API"),
        (GOOD + b',"speed": "f\\u0061st" }', "speed: fast mode is not supported in the Message Batches API"),
        (b'{"max_tokens":1,"messages":[1]}', "model: Field required"),
        (b'{"model":3,"max_tokens":1,"messages":[1]}', "model: Input should be a valid string"),
        (b'{"model":"m","messages":[1]}', "max_tokens: Field required"),
        (b'{"model":"m","max_tokens":0,"messages":[1]}', "max_tokens: must be greater than or equal to 1"),
        (b'{"model":"m","max_tokens":"9","messages":[1]}', "max_tokens: Input should be a valid integer"),
        (b'{"model":"m","max_tokens":1}', "messages: Field required"),
        (b'{"model":"m","max_tokens":1,"messages":"hi"}', "messages: Input should be a valid list"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages: at least one message is required"),
        (b"[]", "params: Input should be a valid dictionary"),
    ],
)
def test_what_no_batch_can_carry_is_named(raw: bytes, message: str) -> None:
    error = refuse(raw)

    assert error is not None
    assert (error.type, error.message) == ("invalid_request_error", message)


def test_a_refused_call_never_reaches_the_upstream() -> None:
    async def main() -> None:
        behind = ScriptedUpstream()
        upstream = JudgedUpstream(behind, lambda call: refuse(call.params))

        assert isinstance(await upstream.attempt(Call(b"{}", "2023-06-01")), Refused)
        assert isinstance(await upstream.attempt(Call(GOOD + b"}", "2023-06-01")), Answered)
        assert isinstance(await upstream.attempt(Call(b"{}", "2023-06-01", batched=False)), Answered)
        assert list(behind.by_params) == [GOOD + b"}", b"{}"]

    asyncio.run(main())


@given(st.binary())
def test_no_bytes_raise(raw: bytes) -> None:
    assert refuse(raw) is not None
