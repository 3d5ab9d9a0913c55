"""From a model's name to upstreams, and to the names that these know."""

import pytest

from batchyard.domain.routes import Names, Route, Target, route

ROUTES = [
    Route(("claude-*", "gpt-?"), (Target("hosted"),)),
    Route(("qwen[23]",), (Target("local", 2.0), Target("other")), (Target("hosted"),)),
    Route(("qwen*",), (Target("other"),)),
]


@pytest.mark.parametrize(
    ("model", "upstreams"),
    [
        ("claude-haiku", ["hosted"]),
        ("gpt-5", ["hosted"]),
        ("gpt-50", None),
        ("qwen3", ["local", "other"]),
        ("qwen4", ["other"]),
        ("Claude-haiku", None),
        ("", None),
    ],
)
def test_the_first_pattern_that_fits_decides(model: str, upstreams: list[str] | None) -> None:
    found = route(ROUTES, model)

    assert (None if found is None else [target.upstream for target in found.targets]) == upstreams


def test_a_star_takes_requests_that_name_no_model() -> None:
    assert route([Route(("*",), (Target("one"),))], "") is not None


def test_names_are_replaced_by_pattern_or_all_by_one() -> None:
    names = Names(instead={"claude-*": "qwen3", "*-mini": "small"})

    assert [names.of(model) for model in ("claude-mini", "x-mini", "other")] == ["qwen3", "small", "other"]
    assert Names(always="one", instead={"a": "b"}).of("a") == "one"
