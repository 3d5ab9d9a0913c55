"""Bugs in what crosses the wire, and in the fixtures for the SDKs' own tests."""

from tests.planted.bug import Bug

GOLDEN = "tests/wire/test_golden.py"
RAW = "tests/sdk/test_raw_callers.py"
FIXTURES = "tests/sdk/test_fixtures.py"
METHODS = "tests/wire/test_methods.py"
NEWEST = "tests/sdk/test_python_releases.py::test_a_whole_life[2.11.0-messages]"

WIRE = [
    Bug(
        "nulls are left out of a batch",
        "wire.py",
        "class MessageBatch(msgspec.Struct, frozen=True, kw_only=True):",
        "class MessageBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):",
        GOLDEN,
    ),
    Bug(
        "the members of a batch come in another order",
        "wire.py",
        "    ended_at: str | None = None\n    created_at: str\n",
        "    created_at: str\n    ended_at: str | None = None\n",
        GOLDEN,
    ),
    Bug("moments end in +00:00", "wire.py", '%S.%fZ"', '%S.%f+00:00"', GOLDEN),
    Bug("results are called JSON", "wire.py", 'JSONL = "application/x-jsonl"', 'JSONL = "application/json"', RAW),
    Bug(
        "the text beside a nested error is lost",
        "wire.py",
        "request_id=error.request_id, message=error.message)",
        'request_id=error.request_id, message="")',
        GOLDEN,
    ),
    Bug(
        "a refusal has another request-id than its header",
        "web/calls.py",
        '("request-id", self.request_id)',
        '("request-id", random_id("req_", secrets.randbits(144)))',
        GOLDEN,
    ),
    Bug(
        "after_id is inclusive",
        "store/sqlite_batches.py",
        '" and id < ?"',
        '" and id <= ?"',
        RAW,
    ),
    Bug(
        "before_id is inclusive",
        "store/sqlite_batches.py",
        '" and id > ?"',
        '" and id >= ?"',
        RAW,
    ),
    Bug(
        "results_url names another origin than the client's",
        "wire.py",
        'results_url=f"{base_url}/v1',
        'results_url=f"http://127.0.0.1:1/v1',
        GOLDEN,
    ),
    Bug(
        "x-api-key is not read",
        "web/auth.py",
        'headers.getlist("x-api-key")',
        'headers.getlist("x-api-kez")',
        RAW,
    ),
    Bug(
        "a bearer key is not read",
        "web/auth.py",
        'headers.getlist("authorization")',
        'headers.getlist("authorizatiox")',
        NEWEST,
    ),
    Bug(
        "the fixtures are always there",
        "app/process.py",
        "Fixtures(self._clock).methods if self._settings.compat_fixtures else nothing_over",
        "Fixtures(self._clock).methods",
        FIXTURES,
    ),
    Bug(
        "a stranger's key opens a real workspace beside the fixtures",
        "web/fixtures.py",
        "return Principal(WORKSPACE, sha",
        'return Principal("mine", sha',
        FIXTURES,
    ),
    Bug(
        "with fixtures every malformed cursor is taken",
        "web/fixtures.py",
        "if pair not in _CURSORS",
        'if pair[0] not in ("after_id", "before_id")',
        FIXTURES,
    ),
    Bug(
        "other machines may use the fixtures",
        "app/entrance.py",
        "    if not settings.is_local:\n        raise",
        "    if False:\n        raise",
        FIXTURES,
    ),
    Bug(
        "nobody is told the port behind a public URL",
        "app/process.py",
        "listening on {self._server.url}",
        "listening on {self._settings.public_url or self._server.url}",
        "tests/e2e/test_serve.py",
    ),
    Bug(
        "a method that nobody knows is no HTTP",
        "web/protocol.py",
        "if at_border and self._begun == 1 and (line",
        "if not data and (line",
        METHODS,
    ),
    Bug(
        "bytes of a body are taken for a head",
        "web/protocol.py",
        "if at_border and self._begun == 1 and (line",
        "if self._begun == 1 and (line",
        METHODS,
    ),
    Bug(
        "an unknown method behind another call begins that one again",
        "web/protocol.py",
        "if at_border and self._begun == 1 and (line",
        "if at_border and (line",
        METHODS,
    ),
    Bug(
        "an unknown method is taken for a PUT",
        "web/protocol.py",
        'self._unknown_method.decode("ascii"), b""',
        '"PUT", b""',
        METHODS,
    ),
    Bug(
        "a model's moments have no fractions",
        "domain/catalog.py",
        'timespec="microseconds"',
        'timespec="seconds"',
        "tests/wire/test_messages.py",
    ),
]
