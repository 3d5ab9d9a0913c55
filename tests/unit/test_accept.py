"""The lanes of ``make accept`` have every long form, and a lane that fails is told."""

import re
from pathlib import Path

import pytest

from tests import accept, long_forms

TESTS = Path(__file__).parents[1]
MARK = re.compile(r"pytest\.mark\.accept\b")


def test_every_folder_with_a_long_form_is_in_a_lane() -> None:
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py") if MARK.search(path.read_text())}
    named = {Path(word).parts[1] for lane in accept.LANES.values() for word in lane if word.startswith("tests/")}

    assert {"e2e", "simulation", "power", "inject"} <= folders <= named


def test_a_lane_that_fails_is_shown_and_the_others_run_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(accept, "LOGS", tmp_path)
    monkeypatch.setattr(accept, "LANES", {"good": ("this",), "bad": ("there_is_no_such_module",)})

    assert accept.main(["good"]) == 0
    assert accept.main([]) == 1
    said = capsys.readouterr().err
    assert "bad: FAILED" in said
    assert "there_is_no_such_module" in said
    assert said.count("good: passed") == 2
    assert accept.main(["none"]) == 2


def test_how_long_a_test_took_is_known_the_next_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "words.py").write_text("print('TOOK   1.5 min  tests/a.py::test_it[x y]\\n..TOOK  9.0 min  no')")
    known = tmp_path / "long_forms.json"
    known.write_text('{"tests/b.py::test_other": 3.5, "tests/a.py::test_it[x y]": 2.0}')
    monkeypatch.setattr(accept, "LOGS", tmp_path)
    monkeypatch.setattr(long_forms, "TOOK", known)
    monkeypatch.setattr(accept, "LANES", {"one": ("words",)})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert accept.main([]) == 0

    known.write_text((tmp_path / "took.json").read_text())
    assert long_forms.usual_minutes() == {"tests/a.py::test_it[x y]": 1.5, "tests/b.py::test_other": 3.5}
    assert "all passed" in capsys.readouterr().err


def test_what_would_not_end_in_time_is_named_and_not_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lane = ("pytest", "-p", "tests.long_forms", "-n", "0", "tests/unit/test_batch.py")
    monkeypatch.setattr(accept, "LOGS", tmp_path)
    monkeypatch.setattr(accept, "LANES", {"late": lane})

    assert accept.main(["--hours", "0"]) == 0
    late = capsys.readouterr().err
    assert accept.main(["--hours", "1"]) == 0
    in_time = capsys.readouterr().err

    assert "NOT RUN  tests/unit/test_batch.py::" in late
    assert "NOT RUN" not in in_time
    assert "late: nothing was left" in in_time
