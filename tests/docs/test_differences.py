"""docs/differences.md: what it claims of a server can be seen on one, and its settings exist."""

import gzip
import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batchyard.settings import DECLARED
from tests.e2e.processes import HEADERS, ServerProcess

PAGE = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
BATCHES = "/v1/messages/batches"

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("differences") / "data") as running:
        yield running


def ask(server: ServerProcess, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """Make one call; return status, headers and body."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, body, {**HEADERS, **named})
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def a_create(text: str = "Hello", **more: object) -> bytes:
    params = {"model": "simulator", "max_tokens": 10, "messages": [{"role": "user", "content": text}]}
    return json.dumps({"requests": [{"custom_id": "one", "params": params, **more}]}).encode()


def ended(server: ServerProcess, body: bytes) -> str:
    batch = server.call("POST", BATCHES, body)
    while server.call("GET", f"{BATCHES}/{batch['id']}")["processing_status"] != "ended":
        time.sleep(0.02)
    return str(batch["id"])


def test_every_row_has_both_sides() -> None:
    assert len(ROWS) > 50
    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"by `(\w+)`|or in `(\w+)`|and `(max_\w+)`|below `(\w+)`|host of `(\w+)`", PAGE))

    assert {name for names in named for name in names if name} <= set(DECLARED)
    assert len(named) >= 6


def test_any_key_is_taken_on_loopback(server: ServerProcess) -> None:
    assert ask(server, "GET", BATCHES, x_api_key="anything")[0] == 200
    assert ask(server, "GET", BATCHES, x_api_key="", host="elsewhere.example")[0] == 421


def test_no_header_speaks_of_limits(server: ServerProcess) -> None:
    status, headers, body = ask(server, "POST", BATCHES, a_create("[[simulate: latency=2s]] Hello"))
    running = ask(server, "GET", f"{BATCHES}/{json.loads(body)['id']}")[1]

    assert status == 200
    assert "retry-after" not in running
    assert not [name for name in (*headers, *running) if name.startswith("anthropic-")]


def test_creates_are_taken_or_refused_as_it_says(server: ServerProcess) -> None:
    assert ask(server, "POST", BATCHES, a_create(), anthropic_beta="nobody-knows-it")[0] == 200
    assert ask(server, "POST", BATCHES, a_create(), content_type="text/plain")[0] == 200
    assert ask(server, "POST", BATCHES, gzip.compress(a_create()), content_encoding="gzip")[0] == 400
    assert ask(server, "POST", BATCHES, a_create("x" * (32 << 20)))[0] == 413


def test_repeated_creates_get_the_first_batch(server: ServerProcess) -> None:
    def made(body: bytes, **headers: str) -> str:
        return str(json.loads(ask(server, "POST", BATCHES, body, **headers)[2]).get("id"))

    first = made(a_create("again"))
    assert made(a_create("again"), x_stainless_retry_count="1") == first
    assert made(a_create("again")) != first
    keyed = made(a_create("keyed"), idempotency_key="k1")
    assert made(a_create("keyed"), idempotency_key="k1") == keyed
    assert ask(server, "POST", BATCHES, a_create("other"), idempotency_key="k1")[0] == 400


def test_of_several_mistakes_the_first_is_told(server: ServerProcess) -> None:
    body = json.dumps({"requests": [{"custom_id": "a b", "params": {}}, {"custom_id": "c", "params": 1}, {}]}).encode()

    status, _, answer = ask(server, "POST", BATCHES, body)

    assert status == 400
    assert json.loads(answer)["error"]["message"].startswith("requests.0.custom_id: ")


def test_ids_and_times_have_the_form_it_says(server: ServerProcess) -> None:
    batches = [server.call("POST", BATCHES, a_create(str(number))) for number in range(3)]

    assert [batch["id"] for batch in batches] == sorted(batch["id"] for batch in batches)
    for batch in batches:
        assert re.fullmatch(r"msgbatch_01[0-9A-Za-z]{22}", batch["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", batch["created_at"])


def test_a_cursor_is_a_position(server: ServerProcess) -> None:
    nobodys = "msgbatch_01" + "z" * 22

    assert ask(server, "GET", f"{BATCHES}?after_id={nobodys}")[0] == 200
    assert ask(server, "GET", f"{BATCHES}?before_id={'msgbatch_01' + '0' * 22}&after_id={nobodys}")[0] == 200
    assert ask(server, "GET", f"{BATCHES}?after_id=nonsense")[0] == 400


def test_results_can_be_read_in_parts(server: ServerProcess) -> None:
    path = f"{BATCHES}/{ended(server, a_create())}/results"
    status, headers, whole = ask(server, "GET", path, accept_encoding="gzip")

    part = ask(server, "GET", path, range="bytes=10-", if_range=headers["etag"])
    assert (status, headers["content-length"]) == (200, str(len(whole)))
    assert "content-encoding" not in headers
    assert (part[0], part[2]) == (206, whole[10:])
    assert ask(server, "GET", path, if_none_match=headers["etag"])[0] == 304
    assert ask(server, "GET", path)[2] == whole


def test_an_errored_line_repeats_its_text(server: ServerProcess) -> None:
    [line] = server.results(ended(server, a_create("[[simulate: api_error]] Hello")))

    error = line["result"]["error"]
    assert error["message"] == error["error"]["message"] != ""


def test_methods_and_paths_are_answered_as_it_says(server: ServerProcess) -> None:
    status, headers, body = ask(server, "PUT", BATCHES)
    assert (status, headers["allow"]) == (405, "GET, HEAD, POST")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert ask(server, "HEAD", BATCHES)[0] == 200
    assert ask(server, "GET", f"{BATCHES}/")[0] == 404
    assert ask(server, "GET", "/v1/files")[0] == 404
    for path in ("/healthz", "/readyz", "/metrics"):
        assert ask(server, "GET", path, x_api_key="")[0] == 200


def test_a_batch_that_has_ended_cannot_be_canceled(server: ServerProcess) -> None:
    assert ask(server, "POST", f"{BATCHES}/{ended(server, a_create())}/cancel")[0] == 400


def test_messages_counts_and_models_are_there(server: ServerProcess) -> None:
    params = {"model": "simulator", "max_tokens": 20, "messages": [{"role": "user", "content": "Why is snow white?"}]}
    message = server.call("POST", "/v1/messages", json.dumps(params).encode())
    del params["max_tokens"]
    count = server.call("POST", "/v1/messages/count_tokens", json.dumps(params).encode())
    models = server.call("GET", "/v1/models?limit=1000")["data"]

    assert message["type"] == "message"
    assert count == {"input_tokens": message["usage"]["input_tokens"]}
    assert {model["capabilities"]["batch"]["supported"] for model in models} == {True}
