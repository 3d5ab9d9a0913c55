"""docs/client.md: its code runs as it stands, and its tables name what there is."""

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import batchyard.client
from tests.e2e.fake_api import FakeApi

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


def test_the_code_runs_as_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    compiled = compile(code, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    monkeypatch.chdir(tmp_path)

    async def notebook() -> None:
        async with FakeApi() as server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base)
            monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
            names: dict[str, Any] = {}
            await eval(compiled, names)

    asyncio.run(notebook())

    assert capsys.readouterr().out == "review-0 succeeded ja – ü\nreview-1 succeeded ja – ü\n"
    assert list(tmp_path.iterdir()) == []


def test_the_page_names_every_argument_and_every_function() -> None:
    arguments = inspect.signature(batchyard.client.run).parameters

    assert [name for name in arguments if f"`{name}`" not in PAGE] == []
    assert [name for name in batchyard.client.__all__ if f"`{name}" not in PAGE and f"import {name}" not in PAGE] == [
        "Result"
    ]
