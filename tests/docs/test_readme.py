"""The README's code runs, commands and links of all pages are right, the glossary's words are the code's words."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_cli import COMMANDS, parse
from tests.e2e.processes import ServerProcess
from tests.sdk.tools import clean_environ

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
OPTIONS = {
    option
    for command in COMMANDS.values()
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | {"--help", "--install-completion", "--show-completion"}
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(page: Path) -> list[str]:
    """Return the command lines of the page's shell blocks that call the program, without what stands before it."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    called = [re.match(r"(?:\w+=\S+ )*(?:\.venv/bin/)?(batchyard .*)", line) for line in lines]
    return [found[1] for found in called if found]


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_python_block_runs_as_it_is(tmp_path: Path) -> None:
    [code] = blocks(ROOT / "README.md", "python")
    assert 'base_url="http://127.0.0.1:8787"' in code

    with ServerProcess(tmp_path / "data") as server:
        done = subprocess.run(
            [sys.executable, "-c", code.replace("http://127.0.0.1:8787", server.url)],
            env=clean_environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"msgbatch_\w{24} in_progress\n", done.stdout)


@EVERY_PAGE
def test_commands_of_a_page_parse(page: Path) -> None:
    for line in commands(page):
        parse(line)


def test_pages_show_commands() -> None:
    shown = {shlex.split(line)[1] for page in PAGES for line in commands(page)}

    assert shown >= {"serve", "run", "create", "cancel", "watch", "results"}


@EVERY_PAGE
def test_an_option_beside_the_programs_name_is_one(page: Path) -> None:
    spans = [span for span in re.findall(r"`([^`\n]+)`", page.read_text()) if span.startswith(("batchyard ", "--"))]

    assert {option for span in spans for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", span)} <= OPTIONS


@EVERY_PAGE
def test_relative_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached, ahead = {ROOT / "README.md"}, [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        for link in re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)]*)?\)", page.read_text()):
            target = (page.parent / link).resolve()
            if target not in reached and target.exists():
                reached.add(target)
                ahead.append(target)

    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= reached


def test_every_word_of_the_glossary_is_used_in_the_code() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## The words")[2].partition("\n## ")[0]
    words = re.findall(r"^\| ([a-z ]+) \|", section, re.MULTILINE)[1:]

    assert len(words) > 15
    assert [word for word in words if not re.search(rf"\b{word}", SOURCE, re.IGNORECASE)] == []
