"""The input of a job: every wrong line is named before anything is sent, and parts make the bodies they promise."""

import asyncio
import io
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.client.errors import BadInput
from batchyard.client.limits import Limits
from batchyard.client.source import InputChanged, PartBody, Plan, check, custom_ids

GOOD = '{"custom_id":"a-1","params":{"max_tokens":1}}'


def lines(*texts: str | bytes) -> io.BytesIO:
    return io.BytesIO(b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in texts))


def problems(*texts: str | bytes, limits: Limits | None = None) -> list[str]:
    with pytest.raises(BadInput) as bad:
        check(lines(*texts), "in.jsonl", limits or Limits())
    return list(bad.value.problems)


def body_of(source: io.BytesIO, plan: Plan, number: int) -> bytes:
    async def whole() -> bytes:
        return b"".join([chunk async for chunk in PartBody(source, plan.parts[number]).chunks()])

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "not JSON"),
        ('{"custom_id":"a","params":{}', "not JSON"),
        ('{"custom_id":"a","params":{"x":NaN}}', "not JSON"),
        ('{"custom_id":"a","params":{"x":"\\ud800"}}', "half a surrogate pair"),
        (b'{"custom_id":"a","params":{"x":"\xff"}}', "not UTF-8 at byte 33"),
        ('{"custom_id":"a","params":' + "[" * 100_000, "nested too deeply"),
        (b"\xef\xbb\xbf" + GOOD.encode(), "byte order mark"),
        ("[1]", "must be an object"),
        ('"text"', "must be an object"),
        ("{}", "custom_id is missing, params is missing"),
        ('{"custom_id":"a"}', "params is missing"),
        ('{"custom_id":"a","params":{},"priority":1}', "'priority' does not belong here"),
        ('{"custom_id":7,"params":{}}', "custom_id must be a string"),
        ('{"custom_id":"","params":{}}', "custom_id '' must be 1 to 64"),
        ('{"custom_id":"a b","params":{}}', "custom_id 'a b' must be 1 to 64"),
        ('{"custom_id":"a\\n","params":{}}', "must be 1 to 64"),
        (f'{{"custom_id":"{"x" * 65}","params":{{}}}}', "must be 1 to 64"),
        ('{"custom_id":"ü","params":{}}', "must be 1 to 64"),
        ('{"custom_id":"a","params":[]}', "params must be an object"),
        ('{"custom_id":"a","params":null}', "params must be an object"),
        ('{"custom_id":"a","params":{"model":""}}', "params: model must be the name of a model"),
        ('{"custom_id":"a","params":{"model":null}}', "params: model must be the name of a model"),
        ('{"custom_id":"a","params":{"max_tokens":"5"}}', "params: max_tokens must be a number"),
        ('{"custom_id":"a","params":{"max_tokens":true}}', "params: max_tokens must be a number"),
        ('{"custom_id":"a","params":{"messages":"Hi"}}', "params: messages must be an array"),
        ('{"custom_id":"a","params":{"stream": true}}', "params: stream must be left out"),
        ('{"requests":[]}', "body of a create"),
        ('{"custom_id":"a","method":"POST","url":"/v1","body":{}}', "another batch format"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(line: str | bytes, problem: str) -> None:
    [told] = problems(GOOD, "", line)

    assert told.startswith("in.jsonl:3: ")
    assert problem in told


def test_what_servers_judge_differently_is_no_error() -> None:
    kept = '{"custom_id":"b","params":{"model":"m","max_tokens":0,"messages":[],"stream":false,"top_k":"x"}}'

    assert check(lines(kept), "in.jsonl", Limits()).notes == ()


def test_what_params_lack_is_noted_with_its_first_place() -> None:
    other = '{"custom_id":"b","params":{"model":"m","max_tokens":5}}'

    notes = check(lines("", GOOD, other), "in.jsonl", Limits()).notes

    refused = "most servers refuse such a request"
    assert notes == (
        f"in.jsonl:2: params without model, here alone: {refused}",
        f"in.jsonl:2: params without messages, in 2 requests: {refused}",
    )


def test_an_id_may_stand_once_in_the_whole_input() -> None:
    assert problems(GOOD, GOOD, limits=Limits(requests=1)) == ["in.jsonl:2: custom_id 'a-1' is on line 1 already"]


def test_repeats_are_told_in_order_among_other_problems_and_counted_beyond_the_limit() -> None:
    others = [f'{{"custom_id":"b-{n}","params":{{}}}}' for n in range(5)]

    told = problems(GOOD, *others, "?", *others, GOOD)
    with pytest.raises(BadInput) as bad:
        check(lines(*[GOOD] * 1000), "in.jsonl", Limits(requests=10))

    assert [one.partition(": ")[0] for one in told] == [f"in.jsonl:{number}" for number in range(7, 14)]
    assert told[-1] == "in.jsonl:13: custom_id 'a-1' is on line 1 already"
    assert (len(bad.value.problems), bad.value.more) == (20, 979)


def test_all_problems_are_told_at_once_up_to_a_limit() -> None:
    with pytest.raises(BadInput) as bad:
        check(lines(*["?"] * 50), "in.jsonl", Limits())

    assert len(bad.value.problems) == 20
    assert bad.value.more == 30
    assert str(bad.value).endswith("… and 30 more problems")


def test_a_request_over_the_limit_alone_is_named_and_the_rest_is_read() -> None:
    big = '{"custom_id":"big","params":{"x":"' + "y" * 200 + '"}}'

    told = problems(GOOD, big, "?", limits=Limits(body_bytes=100))

    assert told[0] == "in.jsonl:2: too large for any batch: the limit is 100 bytes. Make it smaller"
    assert told[1].startswith("in.jsonl:3: not JSON")


@pytest.mark.parametrize("text", [b"", b"\n\n  \n"])
def test_an_input_without_requests_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput, match="holds no request"):
        check(io.BytesIO(text), "in.jsonl", Limits())


def test_lines_reach_the_body_byte_for_byte() -> None:
    odd = '{ "params" : {"b":1e999, "a":118059162071741130342400, "a":2.50, "\\u00fc":"ü"} , "custom_id":"a"}'
    source = lines(odd, "", "  " + GOOD + "\r")

    plan = check(source, "in.jsonl", Limits())

    assert body_of(source, plan, 0) == b'{"requests":[' + odd.encode() + b"," + GOOD.encode() + b"]}"
    assert list(custom_ids(source, plan.parts[0])) == [("a", 1), ("a-1", 3)]


def test_a_last_line_without_its_end_is_a_line() -> None:
    source = io.BytesIO(GOOD.encode() + b"\n" + GOOD.replace("a-1", "a-2").encode())

    assert check(source, "in.jsonl", Limits()).requests == 2


@given(
    st.lists(st.tuples(st.text("xyz ", max_size=40), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(120, 500),
)
def test_parts_hold_every_request_once_in_order_within_the_limits(
    texts: list[tuple[str, bool]], most_requests: int, most_bytes: int
) -> None:
    requests = [json.dumps({"custom_id": f"r{n}", "params": {"t": text}}) for n, (text, _) in enumerate(texts)]
    source = lines(*_with_blanks(requests, [blank for _, blank in texts]))

    plan = check(source, "in.jsonl", Limits(most_requests, most_bytes))

    bodies = [body_of(source, plan, number) for number in range(len(plan.parts))]
    assert [len(body) for body in bodies] == [part.body_bytes for part in plan.parts]
    assert all(len(body) <= most_bytes for body in bodies)
    held = [json.loads(body)["requests"] for body in bodies]
    assert [len(part) for part in held] == [part.requests for part in plan.parts]
    assert all(1 <= len(part) <= most_requests for part in held)
    assert [request for part in held for request in part] == [json.loads(request) for request in requests]
    assert [one for part in plan.parts for one, _ in custom_ids(source, part)] == [f"r{n}" for n in range(len(texts))]


def _with_blanks(requests: list[str], blanks: list[bool]) -> Iterable[str]:
    for request, blank in zip(requests, blanks, strict=True):
        if blank:
            yield ""
        yield request


@pytest.mark.parametrize("change", [lambda text: text.replace(b"1", b"2"), lambda text: text[:20], lambda _: b""])
def test_an_input_that_changed_after_its_check_makes_no_whole_body(change: "io.BytesIO") -> None:
    source = lines(GOOD)
    plan = check(source, "in.jsonl", Limits())
    changed = io.BytesIO(change(source.getvalue()))  # type: ignore[operator]
    body = PartBody(changed, plan.parts[0])

    async def read() -> None:
        async for _ in body.chunks():
            pass

    with pytest.raises(InputChanged):
        asyncio.run(read())
    assert isinstance(body.problem, InputChanged)
