"""docs/cli.md names every command, every command has help with an example that it would take, examples are valid."""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from batchyard.cli.main import program
from batchyard.client.limits import Limits
from batchyard.client.source import check

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = dict(commands(typer.main.get_command(program), "batchyard"))


def parse(line: str) -> None:
    """Parse a command line without running it; a wrong one raises."""
    words = shlex.split(line, comments=True)
    name = next(name for name in COMMANDS if words[: len(name.split())] == name.split())
    COMMANDS[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_parses(name: str) -> None:
    help_ = COMMANDS[name].help
    assert help_ is not None
    examples = re.findall(r"^\s*\$ (.*)$", help_, re.MULTILINE)

    assert "Example:" in help_
    assert examples
    assert all(example.startswith(name) for example in examples)
    for example in examples:
        parse(example)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    assert [one.name for one in COMMANDS[name].params if not getattr(one, "help", None)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_names_every_command(name: str) -> None:
    assert f"| `{name}" in PAGE


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/configuration.md", "examples/README.md"])
def test_commands_in_the_docs_parse(page: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line.removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]

    for line in lines:
        if line.startswith("batchyard "):
            parse(line)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.jsonl")), ids=lambda path: path.name)
def test_every_example_is_an_input_and_is_described(path: Path) -> None:
    plan = check(io.BytesIO(path.read_bytes()), path.name, Limits())

    assert plan.requests >= 100
    assert f"{plan.requests} requests" in (ROOT / "examples" / "README.md").read_text()
