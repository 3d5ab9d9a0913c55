"""The layers and sizes of the design, held by a test: who may import whom, and how long a file may grow."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "batchyard"

MAY_IMPORT: dict[str, set[str]] = {
    "domain": {"domain"},
    "ports": {"domain", "ports"},
    "intake": {"domain", "intake"},
    "wire": {"domain"},
    "dispatch": {"domain", "ports", "dispatch"},
    "store": {"domain", "ports", "store"},
    "upstream": {"domain", "ports", "upstream"},
    "blobs": {"domain", "ports", "blobs"},
    "web": {"domain", "ports", "intake", "wire", "web"},
    "client": {"wire", "client"},
    "metrics": {"domain"},
    "traces": {"domain"},
    "observe": {"domain", "metrics"},
    "kinds": set(),
    "declared": {"kinds"},
    "hook_tables": {"kinds", "declared"},
    "upstream_tables": {"kinds", "declared"},
    "workspace_tables": {"kinds", "declared"},
    "price_tables": {"kinds", "declared"},
    "watch_tables": {"kinds", "declared"},
    "price_book": {"domain"},
    "settings": {
        "kinds",
        "declared",
        "hook_tables",
        "upstream_tables",
        "workspace_tables",
        "price_tables",
        "watch_tables",
    },
    "config": {
        "kinds",
        "declared",
        "hook_tables",
        "upstream_tables",
        "workspace_tables",
        "price_tables",
        "watch_tables",
        "settings",
    },
    "testing": {"domain", "ports", "testing"},
    "vault": {"domain"},
    "assembly": {"domain", "ports", "dispatch", "upstream", "settings", "upstream_tables", "vault"},
    "app": {
        "domain",
        "ports",
        "intake",
        "wire",
        "dispatch",
        "store",
        "upstream",
        "blobs",
        "web",
        "metrics",
        "observe",
        "traces",
        "settings",
        "workspace_tables",
        "assembly",
        "checkup",
        "backup",
        "price_book",
        "price_tables",
        "vault",
        "declared",
        "app",
    },
    "checkup": {"domain", "store", "blobs"},
    "backup": {"domain", "store", "blobs"},
    "cluster": {"cluster"},
    "trial": {"domain", "ports", "dispatch", "settings", "upstream_tables", "assembly"},
    "cli": {"app", "cluster", "trial", "client", "config", "settings", "declared", "kinds", "cli"},
}
"""Layer -> the layers it may import. An adapter's package may import itself, another adapter's never."""

ADAPTERS_APART = {"store", "upstream", "blobs"}
DOMAIN_STANDARD_LIBRARY_ONLY = {"asyncio", "logging", "random", "secrets", "time", "socket", "threading", "os"}
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
EXCEPTIONS: dict[str, str] = {}
"""``module`` or ``module:function`` -> why it may be longer."""

MODULES = sorted(SOURCE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module or "")
            names += [f"{node.module}.{alias.name}" for alias in node.names if node.module == "batchyard"]
    return names


def layers_imported(path: Path) -> set[str]:
    ours = [name.split(".") for name in imported(path) if name.split(".")[0] == "batchyard"]
    return {parts[1] for parts in ours if len(parts) > 1 and not parts[1].startswith("__")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    if path.parent == SOURCE and path.stem.startswith("__"):
        assert layers_imported(path) <= {"cli"}
        return

    assert layers_imported(path) <= MAY_IMPORT[layer(path)]


@pytest.mark.parametrize("path", sorted((SOURCE / "domain").rglob("*.py")), ids=lambda path: path.stem)
def test_the_domain_does_no_io_and_reads_no_clock(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & DOMAIN_STANDARD_LIBRARY_ONLY
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"now", "utcnow", "today"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    text = path.read_text()
    name = str(path.relative_to(SOURCE))
    assert len(text.splitlines()) <= LONGEST_MODULE or name in EXCEPTIONS
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION or f"{name}:{node.name}" in EXCEPTIONS, f"{node.name}: {length} lines"


def test_every_exception_names_something_that_exists() -> None:
    for name in EXCEPTIONS:
        assert (SOURCE / name.partition(":")[0]).exists()


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "common", "base", "manager", "helpers", "misc"}


def test_modules_begin_with_what_they_are() -> None:
    assert [str(path) for path in MODULES if ast.get_docstring(ast.parse(path.read_text())) is None] == []
