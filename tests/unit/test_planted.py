"""The list of planted bugs does not rot: each text it would change is there, once."""

from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_what_a_planted_bug_changes_is_there_once(bug: Bug) -> None:
    assert (ROOT / "src" / "batchyard" / bug.file).read_text().count(bug.old) == 1
    assert bug.old != bug.new
    files = [word.partition("::")[0] for word in bug.tests.split() if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).exists() for file in files)


def test_every_planted_bug_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
