"""No SQL is made of what comes in: whatever is put into a text of the stores is the program's own, by name.

Values are bound. What a text is put together from are constants, or stands in ``OWN`` with the reason why it is safe.
The texts of errors and events are not looked at.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "batchyard"
SPEAKS_SQL = re.compile(r"^\s*(import|from) (apsw|asyncpg)\b|\.execute\(|\.fetch(row|val)?\(", re.MULTILINE)
CONSTANT = re.compile(r"(\w+\.)?_?[A-Z][A-Z0-9_]*")
NUMBER = re.compile(r"len\([\w.()]*\)( [+-] \d+)?|\w+ [+-] \d+")
PASSED = {"where", "tail", "group", "part", "each", "values"}
"""What statements of ours are called while they grow; what goes into them is looked at where it does."""
_WORDS = "words beside it"
_TOLD = "a message for people, no SQL"
_BOUND = "what is told, bound"
_SCHEMA = "an operator's own setting; postgres_url takes lower-case letters, digits and underscores alone"
OWN = {
    "checkup.py": dict.fromkeys(("backups.advice(folder)", "database.explained(fault)", "found", "size"), _TOLD),
    "store/check.py": dict.fromkeys(("found", "what", "wanted"), _TOLD),
    "store/copies.py": {"target.name": "the name of a file"},
    "store/postgres_batches.py": {"than": _WORDS},
    "store/postgres_connections.py": {
        "schema": _SCHEMA,
        "self._token": "an advisory lock's name, bound where it is used",
        "db.get_server_pid()": "a number, bound where it is used",
    },
    "store/postgres_keys.py": {"self._schema": _SCHEMA},
    "store/postgres_migrate.py": {"schema": _SCHEMA},
    "store/postgres_news.py": dict.fromkeys(("batch", "owner"), _BOUND),
    "store/postgres_owners.py": {"batch_id": _BOUND},
    "store/postgres_session.py": {
        "token": "hexadecimal digits of ours",
        "name": "settings of ours",
        "value": f"settings of ours, and the schema: {_SCHEMA}",
    },
    "store/postgres_rows.py": {
        "field.name": "columns of ours",
        "f'b.{field.name}' if field.name in _TALLIED[:4] else 0": "columns of ours",
    },
    "store/postgres_upkeep.py": {"table": _WORDS, "column": _WORDS},
    "store/postgres_views.py": {"name": _WORDS},
    "store/sqlite_rows.py": {"name": "columns of ours"},
    "store/sqlite_settle.py": {
        "','.join([_RESULT_ROW] * size)": "a constant, repeated",
        "'(' + ','.join('?' * _RESULT_WIDTH)": "question marks",
        "','.join('?' * _RESULT_WIDTH)": "question marks",
    },
    "store/sqlite_views.py": {"name": _WORDS},
    "store/writer.py": {"error": _TOLD},
}
"""File -> what it may put into its texts, and why that is safe."""


def put_in(code: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the source of each piece that a text is put together from, but for constants."""
    tree = ast.parse(code)
    told = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise | ast.Assert) or (isinstance(node, ast.Call) and _tells(node))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) not in told:
            for part in _parts(node):
                source = ast.unparse(part)
                if not CONSTANT.fullmatch(source) and not NUMBER.fullmatch(source) and not _is_own(part):
                    yield part.lineno, source


def _is_own(part: ast.expr) -> bool:
    """Whether it is one of our words, or one of two, or a text that grows."""
    match part:
        case ast.Constant():
            return True
        case ast.IfExp(body=ast.Constant(), orelse=ast.Constant()):
            return True
        case ast.Name(id=name) | ast.BinOp(op=ast.Mod(), left=ast.Name(id=name), right=ast.Constant()):
            return name in PASSED
    return False


def _tells(call: ast.Call) -> bool:
    """Whether the call makes an error or an event, whose names begin with a capital, or a warning."""
    name = ast.unparse(call.func).rpartition(".")[2]
    return name[:1].isupper()


def _parts(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.JoinedStr(values=values):
            return [value.value for value in values if isinstance(value, ast.FormattedValue)]
        case ast.BinOp(op=ast.Add() | ast.Mod(), left=left, right=right) if _is_text(left) or _is_text(right):
            return [side for side in (left, right) if not _is_text(side)]
        case ast.Call(func=ast.Attribute(attr="format" | "replace", value=text), args=args) if _is_text(text):
            return list(args)
    return []


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _is_text(left) and _is_text(right)
    return False


def files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if SPEAKS_SQL.search(path.read_text()))


FILES = files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_statements_are_made_of_our_own_text_alone(path: Path) -> None:
    own = OWN.get(path.relative_to(SOURCE).as_posix(), {})

    found = [f"line {line}: {piece}" for line, piece in put_in(path.read_text()) if piece not in own]
    assert found == [], "bind values; what is the program's own text stands in OWN, with the reason"


@pytest.mark.accept
def test_the_table_names_nothing_that_is_not_there() -> None:
    for name, own in OWN.items():
        assert set(own) <= {piece for _, piece in put_in((SOURCE / name).read_text())}, name


@pytest.mark.parametrize(
    "code",
    [
        "db.execute(f\"select 1 from keys where id = '{key_id}'\")",
        'db.execute("select 1 from keys where id = \'" + key_id + "\'")',
        "db.execute(\"select 1 from keys where id = '%s'\" % key_id)",
        "db.execute(\"select 1 from keys where id = '{}'\".format(key_id))",
        "batches(db, f\"id = '{batch_id}'\")",
        "where = f\"workspace = '{workspace}'\"",
        'where += " and name = \'" + name + "\'"',
        "sql = where + f' and {name} = 1'",
    ],
)
def test_it_finds_what_it_is_for(code: str) -> None:
    assert list(put_in(code))


def test_it_looks_at_every_store() -> None:
    names = {path.name for path in FILES}

    assert {"sqlite.py", "sqlite_batches.py", "postgres_lease.py", "key_file.py", "database.py"} <= names
