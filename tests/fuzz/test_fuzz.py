"""The parsers of what comes from outside, fuzzed: with what we think of, and by coverage with what nobody thinks of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import LEAST, TARGETS
from tests.sdk.tools import ROOT, clean_environ, python_with

RUNS = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_and_what_is_nearly_right_breaks_no_promise(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(choices=st.data())
def test_parts_of_it_in_any_order_break_no_promise(name: str, choices: st.DataObject) -> None:
    parts = []
    for _ in range(choices.draw(st.integers(1, 4))):
        seed = choices.draw(st.sampled_from(SEEDS[name]))
        first, end = sorted(choices.draw(st.tuples(st.integers(0, len(seed)), st.integers(0, len(seed)))))
        parts.append(choices.draw(st.sampled_from([seed, seed[first:end], seed[:first] + seed[end:]])))
    TARGETS[name](b"".join(parts).ljust(LEAST, b"0"))


def test_the_targets_need_no_test_tool() -> None:
    """The fuzzer's environment holds what the program needs, and the fuzzer."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('pytest', 'hypothesis')))\n"
        "from tests.fuzz import targets\n"
        "assert targets.TARGETS"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ())

    assert done.returncode == 0, done.stderr[-1000:]


def environ() -> dict[str, str]:
    return clean_environ(PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))


@pytest.mark.accept
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_guided_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    python, corpus = python_with("fuzz"), tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-runs={RUNS}", "-seed=1", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
    done = subprocess.run(
        [python, ROOT / "tests" / "fuzz" / "run.py", name, corpus, *options],
        capture_output=True,
        text=True,
        timeout=7200,
        check=False,
        cwd=tmp_path,
        env=environ(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {RUNS}" in done.stderr
