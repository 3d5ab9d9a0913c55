"""No one step of reading a body takes long or much memory, whatever the body is made of."""

import tracemalloc
from collections.abc import Sequence

import pytest

from batchyard.domain.errors import BatchyardError, InvalidRequest
from batchyard.intake import body, requests
from batchyard.intake.body import MOST_STEPS, Intake, Limits
from batchyard.intake.grammar import MOST_MEMBERS
from batchyard.intake.prefix import FEWEST_BYTES, MOST_OPENERS, MOST_SEARCHED
from batchyard.intake.requests import Piece
from batchyard.intake.scan import FIRST_BLOCK, LARGEST_BLOCK

ONE = b'{"custom_id":"a","params":{}}'
LARGE = requests.LARGE_BYTES
SMALL = b",".join(b'{"c\\u0075stom_id":"%d","params":{"n":%d}}' % (n, n) for n in range(8_000))
"""More than a window of requests, none of which is taken at once with others."""


def in_steps(text: bytes) -> tuple[Intake, bytes, int]:
    """Feed the text at once and let it be read in steps; return how many it took."""
    intake = Intake(Limits())
    pieces: list[Piece] = []
    steps = 0
    for chunk, is_last in ((text, False), (b"", True)):
        pieces += intake.feed(chunk, is_last=is_last)
        while intake.is_behind:
            pieces += intake.feed(b"")
            steps += 1
    pieces += intake.finish()
    return intake, b"".join(pieces), steps


def of(*members: bytes) -> bytes:
    return b'{"requests":[{"custom_id":"a",%b}]}' % b",".join(members)


def test_many_small_values_are_read_in_steps_and_come_to_the_same() -> None:
    text = b'{"requests":[%b]}' % SMALL
    at_once = Intake(Limits())
    whole = b"".join([*at_once.feed(text), *at_once.finish()])

    intake, params, steps = in_steps(text)

    assert steps >= 8_000 // MOST_STEPS
    assert params == whole
    assert list(intake.drafts.rows()) == list(at_once.drafts.rows())


def test_a_large_value_is_looked_at_in_steps() -> None:
    text = b'{"requests":[{"custom_id":"a","params":{"pad":[%b' % (b"[],[]," * (LARGE // 6))
    intake = Intake(Limits())
    intake.feed(text)
    steps = 0
    while intake.is_behind:
        intake.feed(b"")
        steps += 1

    assert steps >= len(text) // (MOST_STEPS * FIRST_BLOCK + LARGEST_BLOCK)


def test_what_is_wrong_after_many_small_values_is_said_all_the_same() -> None:
    for text in (b'{"requests":[%b,{"custom_id":"0","params":{}}]}' % SMALL, b'{"requests":[%b' % SMALL):
        at_once = Intake(Limits())
        at_once.feed(text)
        with pytest.raises(InvalidRequest) as whole:
            at_once.finish()
        with pytest.raises(InvalidRequest) as stepped:
            in_steps(text)
        assert stepped.value.message == whole.value.message


@pytest.mark.parametrize(
    ("member", "says"),
    [(b'"a":1', "a: Extra inputs are not permitted"), (b'"requests":[%b]' % ONE, "requests: it is given more than")],
)
def test_a_body_of_nothing_but_members_is_refused_before_its_end(member: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        in_steps(b"{" + b",".join([member] * (2 * MOST_MEMBERS)))

    few = Intake(Limits())
    few.feed(b"{" + b",".join([b'"requests":[%b]' % ONE] * MOST_MEMBERS) + b"}")
    few.finish()
    assert len(few.drafts) == 1


@pytest.mark.parametrize("size", [LARGE // 2, LARGE + 2**18])
def test_members_that_no_request_has_cost_no_memory(size: int) -> None:
    others = b",".join(b'"%x":1' % number for number in range(size // 9))
    text = b'{"requests":[{"custom_id":"a","params":{},%b}]}' % others
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match=r"^requests\.0\.0: Extra inputs are not permitted"):
            in_steps(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * len(text) + 2**20


@pytest.mark.parametrize("padding", [b"", b'"pad":"%b",' % (b"x" * LARGE)])
@pytest.mark.parametrize(
    ("members", "says"),
    [
        (b'"params":{},"other":1', "requests.0.other: Extra inputs are not permitted"),
        (b'"o`th`er":1,"params":{},"z":2', "requests.0.o`th`er: Extra inputs are not permitted"),
        (b'"\\u00e9\\n":1,"params":{}', "requests.0.é\n: Extra inputs are not permitted"),
        (b'"other":1', "requests.0.params: Field required"),
        (b'"other":1,"params":[]', "requests.0.params: Input should be a valid dictionary"),
        (b'"other":1,"params":{},"custom_id":"?"', "requests.0.custom_id: String should match pattern"),
        (b'"other":1,"params":{"a":tru}', "The request body is not valid JSON: invalid character"),
        (b'"other":"\xff","params":{}', "The request body is not valid JSON: it is not UTF-8"),
    ],
)
def test_which_of_several_mistakes_is_named_does_not_depend_on_the_size(
    members: bytes, says: str, padding: bytes
) -> None:
    if padding and "Extra" in says:
        says = "requests.0.pad: Extra inputs"

    with pytest.raises(BatchyardError) as refused:
        in_steps(of(padding + members if padding else members))

    assert refused.value.message.startswith(says)


def numbers(messages: bytes) -> Sequence[int]:
    """The number of what a request with these messages begins with."""
    intake, _, _ = in_steps(of(b'"params":{"messages":%b}' % messages))
    return list(intake.drafts.prefixes)


def test_messages_of_nothing_but_braces_are_not_searched_for_marks() -> None:
    marked = b'[{"content":"%b"},{"content":[{"cache_control":1},{"text":"b"}]}%b]'
    text = b"x" * (FEWEST_BYTES * 300)

    assert numbers(marked % (text, b"")) != [0]
    assert numbers(marked % (text, b",{}" * 300)) != [0]
    assert numbers(marked % (text, b",{}" * 600)) == [0]
    assert numbers(marked % (b"", b",{}" * (MOST_SEARCHED // 3))) == [0]
    assert numbers(marked % (b"x" * MOST_SEARCHED, b"")) == [0]
    room = b"x" * (FEWEST_BYTES * (MOST_OPENERS + 20))
    assert numbers(marked % (room, b",{}" * (MOST_OPENERS - 10))) != [0]
    assert numbers(marked % (room, b",{}" * MOST_OPENERS)) == [0]


def test_messages_that_are_no_objects_are_not_counted_out() -> None:
    marked = b'[{"content":[{"cache_control":1},{"text":"b"}]}%b]'

    tracemalloc.start()
    try:
        assert numbers(marked % (b",1" * 500_000)) == [0]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_step_is_small_beside_the_window() -> None:
    assert MOST_STEPS * 30e-6 < 0.02  # seconds, at 30 µs each
    assert body.WINDOW_BYTES <= 256 * 1024
