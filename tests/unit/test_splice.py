"""One member of an object set in its bytes: the others stay as they are."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.splice import BLOCK_BYTES, splice

SPLICED = [
    (b'{"model":"a","n":1}', b'{"model":"x","n":1}'),
    (b' { "n" : 1.0e400 ,\n "model" : "a" } ', b' { "n" : 1.0e400 ,\n "model" : "x" } '),
    (
        b'{"a":{"model":"in"},"model":"a","b":[{"model":1}]}',
        b'{"a":{"model":"in"},"model":"x","b":[{"model":1}]}',
    ),
    (b'{"a":"\\"model\\":","model":"a"}', b'{"a":"\\"model\\":","model":"x"}'),
    (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"x"}'),
    (b'{"model":{"deep":[1,{"model":2}]},"z":0}', b'{"model":"x","z":0}'),
    (b'{"model":"a","model":"b"}', b'{"model":"x","model":"x"}'),
    (b'{"a":"model","b":"model"}', b'{"a":"model","b":"model","model":"x"}'),
    (b"{}", b'{"model":"x"}'),
    (b'{ "n": 1 }\n', b'{ "n": 1 ,"model":"x"}\n'),
    (b"[1]", b"[1]"),
    (b'"model"', b'"model"'),
    (b"", b""),
]


@pytest.mark.parametrize(("raw", "wanted"), SPLICED)
def test_only_the_member_changes(raw: bytes, wanted: bytes) -> None:
    assert splice(raw, "model", b'"x"') == wanted


texts = st.text(max_size=5) | st.sampled_from(["model", '"model":', "\\", "{", '"'])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(texts, values, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_what_a_parser_reads_afterwards_is_what_was_asked_for(
    members: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    raw = json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode()

    assert msgspec.json.decode(splice(raw, "model", b'"x"')) == members | {"model": "x"}


@given(st.binary(max_size=30))
def test_no_bytes_are_too_odd(raw: bytes) -> None:
    assert isinstance(splice(raw, "model", b'"x"'), bytes)


@pytest.mark.parametrize("inside", [rb"\"", rb"\\", rb"a\u0041", rb"\\\"", "ü".encode()])
@pytest.mark.parametrize("shift", range(3))
def test_a_string_of_several_blocks_is_passed_over(inside: bytes, shift: int) -> None:
    long = b"x" * shift + inside * (2 * BLOCK_BYTES // len(inside) + 1)
    raw = b'{"a":"%b","model":"a","b":"%b"}' % (long, long)

    assert splice(raw, "model", b'"x"') == b'{"a":"%b","model":"x","b":"%b"}' % (long, long)
    assert splice(raw[:-2], "model", b'"x"') == raw[:-2].replace(b'"model":"a"', b'"model":"x"')
