"""A large value is judged piece by piece, and nobody can tell: not by the answer, nor by the words of the error."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.errors import InvalidRequest
from batchyard.intake import outline, requests
from batchyard.intake.body import Intake, Limits
from batchyard.intake.outline import NotJson, Outline
from batchyard.intake.scan import Scanner
from tests.unit.test_intake_properties import MANY, WHOLE, Cutting, a_body, an_object, answer, mutated, randoms
from tests.unit.test_intake_steps import in_steps

_anything = msgspec.json.Decoder(msgspec.Raw)
ONE_BY_ONE = Cutting((1 << 30,), 1)
blocks = st.sampled_from([2, 3, 5, 9, 17, 40, 100])
MB = 1024 * 1024


@contextmanager
def all_large(block: int) -> Iterator[None]:
    """Every value is large, and is gone through in blocks of so many bytes."""
    with patch.object(requests, "LARGE_BYTES", 1), patch.object(outline, "BLOCK_BYTES", block):
        yield


def groups(body: bytes) -> list[int]:
    intake = Intake(Limits())
    intake.feed(body)
    intake.finish()
    return list(intake.drafts.prefixes)


@given(randoms, blocks)
@MANY
def test_a_right_body_comes_to_the_same_in_pieces(random: Random, block: int) -> None:
    body, rows = a_body(random)
    expected = groups(body)

    with all_large(block):
        assert answer(body, ONE_BY_ONE) == rows
        assert groups(body) == expected


@given(randoms, blocks)
@MANY
def test_what_is_wrong_is_said_in_the_same_words_in_pieces(random: Random, block: int) -> None:
    body = mutated(random)
    expected = answer(body, WHOLE)

    with all_large(block):
        assert answer(body, ONE_BY_ONE) == expected


def steps(value: bytes, block: int) -> Outline:
    with patch.object(outline, "BLOCK_BYTES", block):
        found = Outline(bytearray(value), ["a", "model"], ["model", "x"])
        for _ in found.steps():
            pass
    return found


@given(randoms, blocks)
@MANY
def test_the_members_are_those_that_a_parser_finds(random: Random, block: int) -> None:
    value = {random.choice(["a", "model", "b", ""]): _deep(random, 3) for _ in range(5)}
    written = json.dumps(value, indent=random.choice([None, None, 2]), ensure_ascii=random.random() < 0.5)
    padded = " " * random.randrange(4) + written

    found = steps(padded.encode(), block)

    assert {name: json.loads(bytes(found.raw(span))) for name, span in found.members.items()} == {
        name: value[name] for name in ("a", "model") if name in value
    }
    for name, inner in found.inner.items():
        expected = value[name] if isinstance(value[name], dict) else {}
        assert {key: json.loads(bytes(found.raw(span))) for key, span in inner.items()} == {
            key: expected[key] for key in ("model", "x") if key in expected
        }
    others = [name for name in value if name not in ("a", "model")]
    key = found.other
    assert others[:1] == ([] if key is None else [json.loads(padded.encode()[slice(*key)])])


def _deep(random: Random, depth: int) -> Any:
    match random.randrange(6):
        case 0:
            return an_object(random)
        case 1 | 2 if depth:
            return {random.choice(["model", "x", "y"]): _deep(random, depth - 1) for _ in range(3)}
        case 3 if depth:
            return [_deep(random, depth - 1) for _ in range(3)]
        case 4:
            return random.choice(['"', "\\", '\\",', "ü" * 9, ',"a":1', "}],"])
        case _:
            return random.choice([0, -1.5, None, True, "m"])


MARKS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b'"a"',
    b'"x":',
    b"1",
    b" ",
    b"\t\n" * 20,
    b" " * 120,
    b"\\",
    b'\\"',
    b"{}",
    b"[]",
    b"null",
    b"tru",
    b'"%b"' % (b"x" * 30),
    b'"%b":' % (b"k" * 50),
    b"\xc3\xa9",
    b"\\u00e9",
    b"\\n",
]


@given(st.lists(st.sampled_from(MARKS), min_size=1, max_size=40), blocks)
@MANY
def test_whatever_stands_between_brackets_is_judged_as_a_parser_does(parts: list[bytes], block: int) -> None:
    value = b'{"a":[%b]}' % b"".join(parts)
    if end_of(value) != len(value):
        return

    assert in_pieces(value, block) == at_once(value)


def end_of(value: bytes) -> int | None:
    """Return where the value ends, if it does."""
    scanner, buffer, seen, end = Scanner(500), bytearray(value), -1, None
    while end is None and seen < scanner.seen:
        seen = scanner.seen
        end = scanner.end(buffer, 0, whole=True)
    return end


@pytest.mark.parametrize("block", [2, 3, 5, 9])
@pytest.mark.parametrize("between", [b"1%b1", b'"a"%b"a"', b"[]%b1", b"1%b,1", b"tr%bue", b"1,%b1", b"[%b]"])
def test_blanks_keep_apart_what_is_around_them(between: bytes, block: int) -> None:
    for size in range(6 * block):
        for value in (b"[1,%b]" % between, b'{"a":%b}' % between):
            assert in_pieces(value % (b" " * size), block) == at_once(value % (b" " * size))


def at_once(value: bytes) -> tuple[str, int] | None:
    """Return what is wrong and where, if anything, by one call of the decoder."""
    try:
        _anything.decode(value)
    except msgspec.DecodeError as error:
        return told(error, 0)
    return None


def in_pieces(value: bytes, block: int) -> tuple[str, int] | None:
    """Return the same by steps."""
    try:
        steps(value, block)
    except NotJson as wrong:
        return told(wrong, wrong.counted_from)
    return None


def told(error: Exception, counted_from: int) -> tuple[str, int]:
    what, _, place = str(error).rstrip(")").partition(" (byte ")
    return what, counted_from + int(place)


def test_of_members_with_the_same_name_the_last_counts() -> None:
    value = b'{"a":{"model":1,"x":[2],"model":"m"},"b":{"model":2},"a":{"x":3,"x":[4]}}'

    found = steps(value, 5)

    assert bytes(found.raw(found.members["a"])) == b'{"x":3,"x":[4]}'
    assert {name: bytes(found.raw(span)) for name, span in found.inner["a"].items()} == {"x": b"[4]"}
    again = steps(b'{"a":{"model":1,"x":[2],"model":"m"}}', 5)
    assert bytes(again.raw(again.inner["a"]["model"])) == b'"m"'


def test_a_value_is_left_as_it_was() -> None:
    for text in (
        b'{"a":[1,{"b":[2,3]},[4]],"c":{"d":{"e":[5,6]}}}',
        b'{"a":[1,{"b":[2,3]},[4]],"c":{"d":{"e":[5,x]}}}',
    ):
        value = bytearray(text)
        with patch.object(outline, "BLOCK_BYTES", 2):
            try:
                for _ in Outline(value, (), ()).steps():
                    assert bytes(value) == text
            except NotJson:
                assert b"x" in text
        assert bytes(value) == text


@pytest.mark.parametrize(
    "filling",
    [
        b",1" * (2 * MB),
        rb',["\""]' * (MB // 2),
        b"," + b"[" * 400 + b"]" * 400 + b',"' + b"\\\\" * MB + b'"',
    ],
    ids=["numbers", "brackets", "deep and escaped"],
)
def test_a_large_request_takes_many_steps(filling: bytes) -> None:
    body = b'{"requests":[{"custom_id":"a","params":{"model":"m","pad":[0%b%b]}}]}' % (filling, b',"x"' * MB)

    intake, params, taken = in_steps(body)

    assert taken > len(body) // outline.BLOCK_BYTES - 2
    assert [row[-1] for row in intake.drafts.rows()] == [list(intake.drafts.model_names).index("m")]
    assert params == body[body.index(b'{"model') : -3]


def test_what_is_wrong_far_within_a_large_request_is_told_with_its_place() -> None:
    body = b'{"requests":[{"custom_id":"a","params":{"pad":[0%b,tru%b]}}]}' % (b",1" * MB, b",1" * MB)
    with patch.object(requests, "LARGE_BYTES", 1 << 40), pytest.raises(InvalidRequest) as at_once:
        in_steps(body)

    with pytest.raises(InvalidRequest) as in_pieces:
        in_steps(body)

    assert f"invalid character at byte {body.index(b'tru') + 1}" in in_pieces.value.message
    assert in_pieces.value.message == at_once.value.message


def test_blanks_that_cannot_be_cut_are_left_out_where_it_is_json() -> None:
    decoded: list[int] = []

    def decode(value: Any) -> msgspec.Raw:
        decoded.append(len(value))
        return msgspec.json.decode(value, type=msgspec.Raw)

    blanks = b" " * (2 * MB)
    with patch.object(outline, "_anything", SimpleNamespace(decode=decode)):
        in_steps(b'{"requests":[{"custom_id":"a","params":{"pad":[0%b,%b1,%b[%b{%b}%b]%b]}}]}' % ((blanks,) * 7))
    assert max(decoded) < 8 * outline.BLOCK_BYTES

    with pytest.raises(InvalidRequest, match=rf"expected ',' or '\]' at byte {43 + len(blanks)}$"):
        in_steps(b'{"requests":[{"custom_id":"a","params":[1,1%b1]}]}' % blanks)


def test_an_unknown_member_of_a_body_is_gone_through_in_steps_too() -> None:
    body = b'{"other":[0%b],"requests":[{"custom_id":"a","params":{}}]}' % (b",1" * (2 * MB))
    intake = Intake(Limits())
    intake.feed(body)

    for _ in range(len(body) // outline.BLOCK_BYTES - 2):
        assert intake.is_behind
        intake.feed(b"")

    with pytest.raises(InvalidRequest, match=r"^other: Extra inputs are not permitted"):
        intake.finish()


@pytest.mark.parametrize("key", [b"k" * (2 * MB), b"\\u0041" * MB, "ü".encode() * MB, b"\\ud83d\\ude00" * MB])
def test_of_a_long_unknown_key_the_beginning_is_named(key: bytes) -> None:
    begins = json.loads(b'"%b"' % key)[:100]

    with pytest.raises(InvalidRequest) as refused:
        in_steps(b'{"requests":[{"custom_id":"a","params":{},"%b":1}]}' % key)

    assert refused.value.message == f"requests.0.{begins}…: Extra inputs are not permitted"
