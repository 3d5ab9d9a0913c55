"""docs/testing.md: its two files, as they stand, pass in a run of pytest of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
FILES = {name: text for text, name in re.findall(r"```python\n(# (\S+)\n.*?)```", PAGE, re.DOTALL)}
SECONDS = 120


def test_its_tests_pass_as_they_stand(tmp_path: Path) -> None:
    assert sorted(FILES) == ["conftest.py", "test_batches.py"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHYARD_", "PYTEST_"))}

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            "--rootdir",
            tmp_path,
        ],
        cwd=tmp_path,
        env={**bare, "PATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
