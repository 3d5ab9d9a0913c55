"""Patterns of schemas: strings made from them, and matching, held against Python's own engine."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_pattern_syntax import PatternNotKnown
from batchyard.upstream.simulated_patterns import Pattern

PLAIN = st.sampled_from(
    ["a", "b", "0", "_", "-", r"\d", r"\w", r"\s", r"\.", ".", "[ab]", "[^a]", "[a-f0-9]", r"[\w-]"]
)
PATTERNS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(PATTERNS, st.booleans(), st.booleans(), st.text("ab0_-. \n", max_size=8))
def test_matching_agrees_with_pythons_engine(core: str, starts: bool, ends: bool, text: str) -> None:
    ours = Pattern(f"{'^' * starts}(?:{core}){'$' * ends}")
    theirs = re.compile(rf"{'^' * starts}(?:{core}){chr(92) + 'Z' if ends else ''}", re.ASCII)

    assert ours.matches(text) == (theirs.search(text) is not None)


@pytest.mark.parametrize(
    "pattern", ["^a{1,3}$", "^a{2}$", "^a?$", "^a{2,}$", "^(aa)*$", "^(a|aa){2}$", "^a+b?$", "a$", "^[^a]*$"]
)
@pytest.mark.parametrize("text", ["a" * length for length in range(6)])
def test_repetition_keeps_its_bounds(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == (re.search(pattern, text) is not None)


@settings(deadline=None)
@given(PATTERNS, st.integers(0, 1000))
def test_what_is_made_from_a_pattern_matches_it(core: str, seed: int) -> None:
    made = Pattern(f"^{core}$").make(Dice(b"", seed=seed), 0, None)

    assert made is not None
    assert re.fullmatch(core, made, re.ASCII) is not None


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        (r"^[A-Z]{2,3}-\d{4}$", 0, 8),
        (r"^[a-z]+$", 30, 30),
        (r"^ID-[a-z]+-x$", 17, 17),
        (r"[A-Z]{2}", 40, 60),
        (r"^(foo|bar)s?$", 4, 4),
        (r"^https?://[^/]+\.com", 20, None),
        ("^\\u00e4\\x41$", 2, 2),
        (r"^[^\x00-\x7f]$", 1, 1),
    ],
)
def test_length_and_pattern_hold_together(pattern: str, least: int, most: int | None) -> None:
    made = Pattern(pattern).make(Dice(b"x"), least, most)

    assert made is not None
    assert least <= len(made) <= (most or 10_000)
    assert re.search(pattern, made) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?<n>a)",
        r"(a)\1",
        r"\bword",
        "(",
        ")",
        "[a",
        "*",
        "a{3,1}",
        "[z-a]",
        r"\p{L}",
        "\\",
        "a" * 513,
        "(" * 60,
    ],
)
def test_what_is_not_known_is_said(pattern: str) -> None:
    with pytest.raises(PatternNotKnown):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(a+)+$", False),
        ("(a|a)*$", True),
        ("((((((a*)*)*)*)*)*)*$", True),
        ("(a?){500}b", False),
        ("(.*.*.*.*)*x", False),
    ],
)
def test_patterns_made_to_hurt_are_answered_or_given_up(pattern: str, found: bool) -> None:
    assert _verdict(pattern, "a" * 300 + "!") in (found, "too much work")


def _verdict(pattern: str, text: str) -> bool | str:
    try:
        return Pattern(pattern).matches(text)
    except PatternNotKnown as given_up:
        return str(given_up)
