"""The files that pages load: ours, and others' exactly as their packages have them; all of them in the wheel."""

import asyncio
import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest
from jinja2 import Environment, nodes

from batchyard.web.dashboard.assets import FOLDER
from tests.web.visitor import Visitor, links, open_world, text

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "src" / "batchyard" / "web" / "dashboard" / "templates"
OURS = {"charts.js", "dashboard.css", "dashboard.js", "icon.svg", "VENDORED.toml"}


def test_what_is_not_ours_is_as_its_package_has_it_with_its_licence() -> None:
    packages = tomllib.loads((FOLDER / "VENDORED.toml").read_text())["package"]
    held = [file for package in packages for file in package["files"]]

    for file in held:
        assert sha256((FOLDER / file["file"]).read_bytes()).hexdigest() == file["sha256"], file["file"]
    for package in packages:
        assert any(file["from"] == "LICENSE" for file in package["files"]), package["name"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
    assert {file["file"] for file in held} | OURS == {path.name for path in FOLDER.iterdir()}


def test_what_pages_load_is_there_and_may_be_kept_for_good() -> None:
    async def go() -> None:
        visitor = Visitor(open_world())
        loaded = [link for link in links(text(await visitor.go("/"))) if link.startswith("/static/")]
        assert {link.rpartition(".")[2] for link in loaded} == {"js", "css", "svg"}
        visitor.cookies.clear()
        for link in loaded:
            reply = await visitor.go(link)
            assert (reply.status, reply.header("x-content-type-options")) == (200, "nosniff")
            assert reply.header("cache-control") == "public, max-age=31536000, immutable"
            assert not [name for name, _ in reply.headers if name == "set-cookie"]
        for wrong in ("/static/000000000000/htmx.min.js", "/static/x/../pages.py", f"{loaded[0]}x", "/static/x/%2e%2e"):
            assert (await visitor.go(wrong)).status == 404
        assert (await visitor.go(loaded[0], host="evil.example")).status == 421

    asyncio.run(go())


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_escapes_everything_and_holds_no_script_and_no_style(path: Path) -> None:
    source = path.read_text()
    tree = Environment(autoescape=True).parse(source)

    assert not [each.name for each in tree.find_all(nodes.Filter) if each.name in ("safe", "forceescape", "tojson")]
    assert not list(tree.find_all((nodes.EvalContextModifier, nodes.MarkSafe)))
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals='?js:|https?://", source)
    assert not re.search(r"<script(?! defer src=\"\{\{ visit\.root \}\}\{\{ asset\()", source)
    assert not re.search(r"\s[a-z-]+=\{\{", source), "an attribute without quotes"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as it would be uploaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_template_and_every_file_that_pages_load(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        names = set(packed.namelist())

    for path in [*TEMPLATES.iterdir(), *FOLDER.iterdir()]:
        assert str(path.relative_to(ROOT / "src")) in names


def test_a_server_of_the_wheel_shows_its_pages(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    program = (
        "import asyncio, sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "import batchyard; assert batchyard.__file__.startswith(sys.argv[1]), batchyard.__file__\n"
        "from tests.web.visitor import Visitor, open_world\n"
        "print(asyncio.run(Visitor(open_world()).go('/')).status)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("200\n", "")
