"""Hostile input at every door: never a 5xx, never a crash, the right 4xx, and nothing left behind."""

import asyncio
import gzip
import json
import zlib
from pathlib import Path

import pytest

from batchyard.domain.events import BugFound
from batchyard.metrics import Metrics
from batchyard.observe import Log, Observer
from tests.wire.world import Reply, World, a_body, ask, rendered

PATH = "/v1/messages/batches"
PARAMS = b'{"model":"simulator","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'


def create(params: bytes = PARAMS, custom_id: bytes = b'"a"') -> bytes:
    return b'{"requests":[{"custom_id":%b,"params":%b}]}' % (custom_id, params)


NOT_JSON = {
    "nothing": b"",
    "blank": b" \r\n\t",
    "a byte order mark": b"\xef\xbb\xbf" + create(),
    "UTF-16": create().decode().encode("utf-16"),
    "UTF-16 without a mark": create().decode().encode("utf-16-le"),
    "UTF-32": create().decode().encode("utf-32"),
    "Latin-1": create(b'{"text":"\xe9"}'),
    "an overlong slash": create(b'{"text":"\xc0\xaf"}'),
    "a surrogate in UTF-8": create(b'{"text":"\xed\xa0\x80"}'),
    "a byte beyond Unicode": create(b'{"text":"\xf4\x90\x80\x80"}'),
    "a raw NUL": create(b'{"text":"\0"}'),
    "a raw line break": create(b'{"text":"\n"}'),
    "half a surrogate pair": create(b'{"text":"\\ud800"}'),
    "half a pair, then another": create(b'{"text":"\\ud800\\ud800"}'),
    "the second half first": create(b'{"text":"\\udc00\\ud800"}'),
    "half a surrogate in a key": create(b'{"\\ud800":1}'),
    "an unknown escape": create(b'{"text":"\\x41"}'),
    "half an escape": create(b'{"text":"\\u12"}'),
    "NaN": create(b'{"n":NaN}'),
    "Infinity": create(b'{"n":Infinity}'),
    "minus Infinity": create(b'{"n":-Infinity}'),
    "a plus": create(b'{"n":+1}'),
    "a leading zero": create(b'{"n":01}'),
    "hexadecimal": create(b'{"n":0x10}'),
    "a point and nothing": create(b'{"n":1.}'),
    "single quotes": create(b"{'n':1}"),
    "a comment": create(b"{/* */}"),
    "a comma too many": create(b'{"n":1,}'),
    "a trailing value": create() + b"{}",
    "a trailing NUL": create() + b"\0",
    "not closed": create()[:-1],
    "not closed in a string": b'{"requests":[{"custom_id":"a',
    "closed too often": create() + b"}",
    "501 arrays": create(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"),
    "a million arrays": create(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"),
    "a million open arrays": b"[" * 1_000_000,
    "a million open objects": b'{"a":' * 300_000,
    "deep in an unknown key": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"requests":[]}',
    "GET / HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "a form": b"requests=%5B%5D",
    "a number": b"1e",
}
WRONG = {
    "null": b"null",
    "a list": b"[]",
    "a string": b'"requests"',
    "a number with 5000 digits": b"1" * 5000,
    "no requests": b"{}",
    "null requests": b'{"requests":null}',
    "requests twice, the last wrong": b'{"requests":[],"requests":{}}',
    "an empty list": b'{"requests":[]}',
    "a list of null": b'{"requests":[null]}',
    "an unknown key": b'{"requests":[],"x":1}',
    "an unknown key in a request": b'{"requests":[{"custom_id":"a","params":{},"x":1}]}',
    "no params": b'{"requests":[{"custom_id":"a"}]}',
    "params that are a list": create(b"[]"),
    "an id with CR LF": create(custom_id=b'"a\\r\\nx-injected: 1"'),
    "an id that climbs": create(custom_id=b'"../../etc/passwd"'),
    "an id with NUL": create(custom_id=b'"a\\u0000b"'),
    "an id of markup": create(custom_id=b'"<script>"'),
    "an id of SQL": create(custom_id=b'"\'; drop table batches; --"'),
    "an id in full width": create(custom_id='"ａ"'.encode()),
    "an id of 65": create(custom_id=b'"%b"' % (b"a" * 65)),
    "an id of a megabyte": create(custom_id=b'"%b"' % (b"a" * 1_000_000)),
    "an empty id": create(custom_id=b'""'),
    "an id that is a number": create(custom_id=b"1"),
    "an id that is null": create(custom_id=b"null"),
    "an id twice": b'{"requests":[{"custom_id":"a","params":{}},{"custom_id":"a","params":{}}]}',
    "an id twice, once in escapes": b'{"requests":[{"custom_id":"a","params":{}},{"custom_id":"\\u0061","params":{}}]}',
    "a key of a megabyte": b'{"requests":[{"custom_id":"a","params":{},"%b":1}]}' % (b"k" * 1_000_000),
}
TAKEN = {
    "numbers that no machine holds": create(b'{"a":1e999999,"b":-0.0,"c":%b,"d":1e-400}' % (b"9" * 4000)),
    "keys twice": create(b'{"model":"a","model":"b","model":"c"}'),
    "custom_id twice, the last right": b'{"requests":[{"custom_id":"../x","custom_id":"a","params":{}}]}',
    "499 arrays": create(b'{"a":' + b"[" * 499 + b"]" * 499 + b"}"),
    "an escaped NUL": create(b'{"text":"\\u0000"}'),
    "a pair of surrogates": create(b'{"text":"\\ud83d\\ude00"}'),
    "U+2028 and U+FEFF inside": create('{"text":"\u2028\ufeff\u202e"}'.encode()),
    "a model of control characters": create(b'{"model":"\\u0000\\r\\n"}'),
    "a model of a megabyte": create(b'{"model":"%b"}' % (b"m" * 1_000_000)),
    "a model that is a list": create(b'{"model":[]}'),
    "10,000 keys": create(b"{" + b",".join(b'"k%d":0' % n for n in range(10_000)) + b"}"),
    "an empty key": create(b'{"":{"":""}}'),
    "__proto__": create(b'{"__proto__":{"admin":true},"constructor":{}}'),
}


def sent(body: bytes, step: int) -> tuple[World, Reply]:
    world = World()
    chunks = [body[start : start + step] for start in range(0, len(body), step)] or [b""]
    return world, asyncio.run(world.call("POST", PATH, chunks))


@pytest.mark.parametrize("step", [7, 64 * 1024], ids=["in drops", "in chunks"])
@pytest.mark.parametrize("name", [*NOT_JSON, *WRONG])
def test_a_create_of_hostile_json_is_a_400_and_leaves_nothing(name: str, step: int) -> None:
    body = (NOT_JSON | WRONG)[name]
    world, reply = sent(body, step if len(body) < 5_000 else 64 * 1024)

    status, kind, message = reply.error()
    assert (status, kind) == (400, "invalid_request_error")
    assert ("not valid JSON" in message) is (name in NOT_JSON)
    assert len(reply.body) < 1_000
    assert all(letter.isprintable() for letter in message)
    assert not any(ord(letter) < 32 for _, value in reply.headers for letter in value)
    assert asyncio.run(world.blobs.old(-1)) == []
    assert [event for event in world.events if isinstance(event, BugFound)] == []


@pytest.mark.parametrize("name", TAKEN)
def test_odd_params_are_taken_and_kept_byte_for_byte(name: str) -> None:
    world, reply = sent(TAKEN[name], 64 * 1024)

    assert reply.status == 200
    [blob] = asyncio.run(world.blobs.old(-1))
    reader = asyncio.run(world.blobs.open(blob))
    assert asyncio.run(reader.read(0, reader.size)) in TAKEN[name]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", [name for name in NOT_JSON if name not in ("a trailing NUL",)])
def test_a_message_of_hostile_json_is_no_server_error(path: str, name: str) -> None:
    body = NOT_JSON[name]
    for message in (body, body.removeprefix(b'{"requests":[{"custom_id":"a","params":').removesuffix(b"}]}")):
        world = World()
        reply = asyncio.run(world.call("POST", path, message))

        assert reply.status in (200, 400), reply.body
        assert [event for event in world.events if isinstance(event, BugFound)] == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "compress", "GZIP", "identity, gzip", "x"])
@pytest.mark.parametrize("path", [PATH, "/v1/messages", "/v1/messages/count_tokens"])
def test_a_compressed_body_is_refused_before_it_is_read(path: str, encoding: str) -> None:
    reply = asyncio.run(World().call("POST", path, a_body("a"), headers={"content-encoding": encoding}, unread=True))

    assert reply.error()[:2] == (400, "invalid_request_error")
    assert "content-encoding" in reply.error()[2]


def test_compressed_bytes_that_are_not_declared_are_no_json() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000)
    for body in (gzip.compress(a_body("a")), bomb):
        assert sent(body, 64 * 1024)[1].error()[0] == 400


HEADERS = {
    "a version of control characters": ("anthropic-version", "2023-06-01\t\x01"),
    "a version of 60 KB": ("anthropic-version", "2" * 60_000),
    "a beta of 60 KB": ("anthropic-beta", "b," * 30_000),
    "an idempotency key of 60 KB": ("idempotency-key", "k" * 60_000),
    "a retry count of letters": ("x-stainless-retry-count", "９９"),
    "a retry count of 60,000 digits": ("x-stainless-retry-count", "9" * 60_000),
    "a length below 0": ("content-length", "-1"),
    "a length of 5,000 digits": ("content-length", "9" * 5_000),
    "a length in words": ("content-length", "all"),
    "a range of digits": ("range", f"bytes={'9' * 5_000}-"),
    "a range of letters": ("range", "bytes=٣-٤"),
    "a workspace of markup": ("anthropic-workspace-id", "<script>"),
    "a key of 60 KB": ("x-api-key", "k" * 60_000),
    "a key in Latin-1": ("x-api-key", "schlüssel"),
    "a bearer of 60 KB": ("authorization", "Bearer " + "k" * 60_000),
    "a host with a line break": ("host", "localhost\r\nx: y"),
    "a host of 60 KB": ("host", "a" * 60_000),
    "forwarded from nowhere": ("x-forwarded-for", ",,,,::,999.1.1.1," * 500),
    "a tag of quotes": ("if-none-match", '"' * 10_000),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", PATH), ("GET", PATH), ("GET", "{ended}/results"), ("GET", "/metrics")]
)
def test_hostile_headers_are_no_server_error(name: str, method: str, path: str) -> None:
    async def scenario() -> None:
        world = World(metrics=rendered)
        target = path.replace("{ended}", f"{PATH}/{await world.ended()}")
        header, value = HEADERS[name]
        lines = {"host": "localhost", "anthropic-version": "2023-06-01", "x-api-key": "key-one", header: value}
        raw = [(key, text.encode("utf-8").decode("latin-1")) for key, text in lines.items()]
        reply = await ask(world.app, method, target, raw, [a_body("b")])

        assert reply.status < 500, reply.body
        assert len(reply.body) < 2_000
        assert [event for event in world.events if isinstance(event, BugFound)] == []

    asyncio.run(scenario())


QUERIES = [
    "limit=" + "9" * 5_000,
    "limit=%00",
    "limit=1&limit=x",
    "limit=-0",
    "limit=٣",
    "after_id=%ff%fe",
    "after_id=../../x",
    "before_id=msgbatch_" + "a" * 60_000,
    "after_id[]=a",
    "&" * 30_000,
    "=" * 30_000,
    ";".join("limit=1" for _ in range(2_000)),
    "%",
    "%zz=1",
    "lifecycle[]=" + "x" * 10_000,
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
@pytest.mark.parametrize("path", [PATH, "/v1/models"])
def test_hostile_queries_are_no_server_error(path: str, query: str) -> None:
    world = World()
    reply = asyncio.run(world.call("GET", f"{path}?{query}".encode().decode("latin-1")))

    assert reply.status in (200, 400)
    assert len(reply.body) < 1_000
    assert [event for event in world.events if isinstance(event, BugFound)] == []


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "OPTIONS", "get", "A" * 1_000, "M-SEARCH"])
def test_other_methods_are_a_405(method: str) -> None:
    assert asyncio.run(World().call(method, PATH)).error()[0] == 405


def test_log_lines_are_one_json_object_each_and_hold_no_secret(tmp_path: Path) -> None:
    """Everything that a client can put into a name of ours, at the level that is usual."""
    path = tmp_path / "log"
    forged = '\r\n{"event":"batch_deleted"}\u2028\u0085\x1b[31m'
    with path.open("w") as stream:
        observe = Observer(Log(stream), Metrics())

        async def scenario() -> None:
            world = World()
            secret = "custom-secret-id"
            batch_id = await world.create(secret, headers={"x-api-key": "key-one"})
            await world.finish(batch_id)
            await world.call("GET", f"/v1/{forged.encode('ascii', 'replace').decode()}")
            await world.call("DELETE", f"{PATH}/{batch_id}")
            for event in world.events:
                observe(event)
            try:
                raise ValueError(f"key-one {secret} {forged}")
            except ValueError as error:
                observe(BugFound(f"GET {forged}", error))

        asyncio.run(scenario())

    text = path.read_text()
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(lines) >= 3
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert line.isprintable()
    assert "key-one" not in text
    assert "custom-secret-id" not in text
    assert "hello" not in text
