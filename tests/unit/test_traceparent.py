"""The header traceparent, as W3C Trace Context has it."""

import pytest

from batchyard.domain.traceparent import SpanOf, kept, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_good_one_is_read() -> None:
    assert parse(GOOD) == SpanOf(int(TRACE, 16), int(SPAN, 16), sampled=True)
    assert parse(f"00-{TRACE}-{SPAN}-00") == SpanOf(int(TRACE, 16), int(SPAN, 16), sampled=False)


def test_a_later_version_may_have_more_of_which_nothing_is_kept() -> None:
    later = f"cc-{TRACE}-{SPAN}-01-what-comes"

    assert parse(later) == parse(GOOD)
    assert kept(later) == f"cc-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"0٣-{TRACE}-{SPAN}-01",
    ],
)
def test_anything_else_is_none(bad: str) -> None:
    assert parse(bad) is None
    assert kept(bad.rstrip("\n") if bad.endswith("\n") else bad) == (GOOD if bad.endswith("\n") else "")


def test_what_is_kept_is_the_header_without_spaces_around() -> None:
    assert kept(f" {GOOD}\t") == GOOD
    assert kept(None) == ""
