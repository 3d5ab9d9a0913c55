"""Golden bodies: each endpoint and each error byte for byte, from a real server process on its own store.

What differs from run to run (ids, moments, the server's URL) is replaced by its name, after a look at its form.
"""

import json
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk.raw import BATCHES, KEY, Reply, a_create, ask

UNKNOWN = "msgbatch_01AAAAAAAAAAAAAAAAAAAAAA"
LIMITS = {"BATCHYARD_MAX_BODY_BYTES": "20000", "BATCHYARD_MAX_REQUESTS": "3"}
VARYING = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "URL"),
    (re.compile(r"\bmsgbatch_01[0-9A-Za-z]{22}\b"), "BATCH"),
    (re.compile(r"\breq_[0-9A-Za-z]{24}\b"), "REQUEST"),
    (re.compile(r"\bmsg_01[0-9A-Za-z]{22}\b"), "MESSAGE"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "MOMENT"),
)
NO_COUNTS = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


def golden(reply: Reply) -> str:
    """Return the body with what varies replaced, after a look at the headers that every answer has."""
    assert re.fullmatch(r"req_[0-9A-Za-z]{24}", reply.headers["request-id"])
    assert int(reply.headers["content-length"]) == len(reply.body)
    text = reply.body.decode()
    for form, name in VARYING:
        text = form.sub(name, text)
    return text


def a_batch(status: str, *, ended: bool = False, canceled: bool = False, **counts: int) -> str:
    """Return the ten members in the service's order, the nulls among them."""
    url = f'"URL{BATCHES}/BATCH/results"' if ended else "null"
    numbers = json.dumps(NO_COUNTS | counts, separators=(",", ":"))
    return (
        f'{{"id":"BATCH","type":"message_batch","processing_status":"{status}","request_counts":{numbers},'
        f'"ended_at":{_moment(ended)},"created_at":"MOMENT","expires_at":"MOMENT","archived_at":null,'
        f'"cancel_initiated_at":{_moment(canceled)},'
        f'"results_url":{url}}}'
    )


def an_error(error_type: str, message: str) -> str:
    body = json.dumps({"type": error_type, "message": message}, separators=(",", ":"), ensure_ascii=False)
    return f'{{"type":"error","error":{body},"request_id":"REQUEST"}}'


def _moment(there: object) -> str:
    return '"MOMENT"' if there else "null"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("golden") / "data", environ=LIMITS) as running:
        yield running


def create(server: ServerProcess, body: bytes) -> str:
    return str(ask(server.url, "POST", BATCHES, body).json()["id"])


def in_flight(server: ServerProcess) -> int:
    [line] = re.findall(r"^batchyard_attempts_in_flight (\S+)$", ask(server.url, "GET", "/metrics").body.decode(), re.M)
    return int(float(line))


def until_ended(server: ServerProcess, batch_id: str) -> Reply:
    deadline = time.monotonic() + 60
    while True:
        reply = ask(server.url, "GET", f"{BATCHES}/{batch_id}")
        if reply.json()["processing_status"] == "ended":
            return reply
        assert time.monotonic() < deadline
        time.sleep(0.05)


def saying(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


SLOW = saying("[[simulate: latency=10m]]")
BRIEF = saying("[[simulate: text=Hi]]")


@pytest.fixture(scope="module")
def running(server: ServerProcess) -> str:
    """A batch that runs on and on."""
    return create(server, a_create("slow", **SLOW))


@pytest.fixture(scope="module")
def ended(server: ServerProcess) -> str:
    """A batch that has ended, with a good line and two bad ones."""
    entries = [json.loads(a_create(name, **BRIEF))["requests"][0] for name in ("good", "unknown", "late")]
    entries[1]["params"]["model"] = "nobody"
    entries[2]["params"]["stream"] = True
    batch_id = create(server, json.dumps({"requests": entries}).encode())
    until_ended(server, batch_id)
    return batch_id


def test_create_and_retrieve_of_a_running_batch(server: ServerProcess, running: str) -> None:
    created = ask(server.url, "POST", BATCHES, a_create("a", "b", "c", **SLOW))
    shown = ask(server.url, "GET", f"{BATCHES}/{running}?beta=true")

    assert (created.status, created.headers["content-type"]) == (200, "application/json")
    assert golden(created) == a_batch("in_progress", processing=3)
    assert (shown.status, shown.headers["content-type"]) == (200, "application/json")
    assert golden(shown) == a_batch("in_progress", processing=1)
    assert ask(server.url, "POST", f"{BATCHES}/{created.json()['id']}/cancel", b"").status == 200


def test_cancel_twice_and_its_lines(server: ServerProcess) -> None:
    before = in_flight(server)
    batch_id = create(server, a_create("a", "b", "c", **SLOW))
    while in_flight(server) < before + 3:  # what has not begun would be canceled at any moment
        time.sleep(0.05)
    first = ask(server.url, "POST", f"{BATCHES}/{batch_id}/cancel", b"")
    again = ask(server.url, "POST", f"{BATCHES}/{batch_id}/cancel", b"")

    assert golden(first) == a_batch("canceling", canceled=True, processing=3)
    assert again.body == first.body


def test_an_ended_batch(server: ServerProcess, ended: str) -> None:
    reply = ask(server.url, "GET", f"{BATCHES}/{ended}")

    assert golden(reply) == a_batch("ended", ended=True, succeeded=1, errored=2)
    assert reply.json()["results_url"] == f"{server.url}{BATCHES}/{ended}/results"


def test_succeeded_and_errored_lines(server: ServerProcess, ended: str) -> None:
    reply = ask(server.url, "GET", f"{BATCHES}/{ended}/results")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-jsonl")
    refused = '"stream=True" is not supported in the Message Batches API'
    assert golden(reply) == (
        '{"custom_id":"good","result":{"type":"succeeded","message":{"id":"MESSAGE","type":"message",'
        '"role":"assistant","model":"claude-haiku-4-5-20251001","content":[{"type":"text","text":"Hi",'
        '"citations":null}],"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null,'
        '"diagnostics":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,'
        '"output_tokens_details":null,"server_tool_use":null,"service_tier":"batch",'
        '"inference_geo":"not_available","speed":null}}}}\n'
        + _errored("unknown", "not_found_error", "model: nobody")
        + _errored("late", "invalid_request_error", refused)
    )


def _errored(custom_id: str, error_type: str, message: str) -> str:
    text = json.dumps(message)
    return (
        f'{{"custom_id":"{custom_id}","result":{{"type":"errored","error":{{"type":"error",'
        f'"error":{{"type":"{error_type}","message":{text}}},"request_id":null,"message":{text}}}}}}}\n'
    )


def test_canceled_and_expired_lines(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("fates") / "data"
    slow = saying("[[simulate: latency=4s]] [[simulate: text=Hi]]")
    with ServerProcess(data, "--concurrency", "1", environ={"BATCHYARD_EXPIRES_AFTER": "2s"}) as server:
        expiring = create(server, a_create("sent", "unsent", **slow))
        canceling = create(server, a_create("never", **slow))
        ask(server.url, "POST", f"{BATCHES}/{canceling}/cancel", b"")
        canceled, expired = until_ended(server, canceling), until_ended(server, expiring)

        assert golden(canceled) == a_batch("ended", ended=True, canceled=True).replace('canceled":0', 'canceled":1')
        assert golden(expired) == a_batch("ended", ended=True, succeeded=1, expired=1)
        lines = ask(server.url, "GET", f"{BATCHES}/{expiring}/results").body.splitlines(keepends=True)
        assert json.loads(lines[0])["custom_id"] == "sent"
        assert lines[1:] == [b'{"custom_id":"unsent","result":{"type":"expired"}}\n']
        never = ask(server.url, "GET", f"{BATCHES}/{canceling}/results").body
        assert never == b'{"custom_id":"never","result":{"type":"canceled"}}\n'


def test_pages_with_something_and_with_nothing(server: ServerProcess, ended: str) -> None:
    newest = create(server, a_create("a", **SLOW))

    page = ask(server.url, "GET", f"{BATCHES}?limit=1")
    nothing = ask(server.url, "GET", f"{BATCHES}?before_id={newest}")

    running = a_batch("in_progress", processing=1)
    assert golden(page) == f'{{"data":[{running}],"has_more":true,"first_id":"BATCH","last_id":"BATCH"}}'
    assert page.json()["first_id"] == page.json()["last_id"] == newest
    assert golden(nothing) == '{"data":[],"has_more":false,"first_id":null,"last_id":null}'
    ask(server.url, "POST", f"{BATCHES}/{newest}/cancel", b"")


def test_delete(server: ServerProcess) -> None:
    batch_id = create(server, a_create("a", max_tokens=0))
    until_ended(server, batch_id)

    reply = ask(server.url, "DELETE", f"{BATCHES}/{batch_id}", b"")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert golden(reply) == '{"id":"BATCH","type":"message_batch_deleted"}'
    gone = an_error("not_found_error", "Message Batch BATCH not found.")
    for method, path in [("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", "")]:
        again = ask(server.url, method, f"{BATCHES}/{batch_id}{path}")
        assert (again.status, golden(again)) == (404, gone)


def test_the_moments_agree(server: ServerProcess, ended: str) -> None:
    batch = ask(server.url, "GET", f"{BATCHES}/{ended}").json()
    created, ends, expires = (datetime.fromisoformat(batch[f"{name}_at"]) for name in ("created", "ended", "expires"))

    assert expires - created == timedelta(hours=24)
    assert created < ends < expires


INVALID = "invalid_request_error"
PATTERN = "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
BODIES = [
    (b"{}", "requests: Field required"),
    (b'{"requests":[]}', "requests: List should have at least 1 item after validation, not 0"),
    (b'{"requests":{}}', "requests: Input should be a valid list"),
    (a_create("a", "b", "c", "d"), "requests: List should have at most 3 items after validation, not 4 or more"),
    (b'{"requests":[1]}', "requests.0: Input should be a valid dictionary"),
    (b'{"requests":[{"params":{}}]}', "requests.0.custom_id: Field required"),
    (b'{"requests":[{"custom_id":1,"params":{}}]}', "requests.0.custom_id: Input should be a valid string"),
    (a_create(""), "requests.0.custom_id: String should have at least 1 character"),
    (a_create("x" * 65), "requests.0.custom_id: String should have at most 64 characters"),
    (a_create("a b"), PATTERN),
    (a_create("é"), PATTERN),
    (a_create("a\n"), PATTERN),
    (
        a_create("b", "dup", "dup"),
        "requests: custom_id's must be unique within a batch. Duplicate custom_id found: dup",
    ),
    (b'{"requests":[{"custom_id":"a"}]}', "requests.0.params: Field required"),
    (b'{"requests":[{"custom_id":"a","params":[]}]}', "requests.0.params: Input should be a valid dictionary"),
    (b'{"requests":[{"custom_id":"a","params":{},"foo":1}]}', "requests.0.foo: Extra inputs are not permitted"),
    (b'{"requests":[{"custom_id":"a","params":{}}],"foo":1}', "foo: Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("body", "message"), BODIES, ids=[message[:40] for _, message in BODIES])
def test_a_create_that_is_refused(body: bytes, message: str, server: ServerProcess) -> None:
    newest = ask(server.url, "GET", f"{BATCHES}?limit=1").json()["first_id"]

    reply = ask(server.url, "POST", BATCHES, body)

    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert golden(reply) == an_error(INVALID, message)
    assert reply.json()["request_id"] == reply.headers["request-id"]
    assert ask(server.url, "GET", f"{BATCHES}?limit=1").json()["first_id"] == newest


@pytest.mark.parametrize("body", [b"", b"{", b'{"requests":[', b"\xef\xbb\xbf{}", b"\xff", b'{"requests":[NaN]}'])
def test_a_body_that_is_no_json(body: bytes, server: ServerProcess) -> None:
    reply = ask(server.url, "POST", BATCHES, body)

    assert reply.status == 400
    message = reply.json()["error"]["message"]
    assert message.startswith("The request body is not valid JSON: ")
    assert golden(reply) == an_error(INVALID, message)


NO_VERSION = {"x-api-key": "a"}
ONE = f"{BATCHES}/{UNKNOWN}"
NOT_FOUND = (404, "not_found_error", "Message Batch BATCH not found.")
NOWHERE = (404, "not_found_error", "Not found: there is nothing at this path.")
LEAST = (400, INVALID, "limit: Input should be greater than or equal to 1")
MOST = (400, INVALID, "limit: Input should be less than or equal to 1000")
NO_INTEGER = (400, INVALID, "limit: Input should be a valid integer, unable to parse string as an integer")
NO_KEY = (401, "authentication_error", "x-api-key header is required")
CALLS: list[tuple[str, str, dict[str, str], tuple[int, str, str]]] = [
    ("GET", ONE, KEY, NOT_FOUND),
    ("DELETE", ONE, KEY, NOT_FOUND),
    ("POST", f"{ONE}/cancel", KEY, NOT_FOUND),
    ("GET", f"{ONE}/results", KEY, NOT_FOUND),
    ("GET", f"{BATCHES}/", KEY, NOWHERE),
    ("POST", f"{BATCHES}//cancel", KEY, NOWHERE),
    ("GET", "/nothing/here", KEY, NOWHERE),
    ("GET", f"{BATCHES}?limit=0", KEY, LEAST),
    ("GET", f"{BATCHES}?limit=-1", KEY, LEAST),
    ("GET", f"{BATCHES}?limit=1001", KEY, MOST),
    ("GET", f"{BATCHES}?limit=some", KEY, NO_INTEGER),
    ("GET", f"{BATCHES}?after_id=x", KEY, (400, INVALID, "after_id: Input should be the id of a Message Batch")),
    ("GET", ONE, NO_VERSION, (400, INVALID, "anthropic-version: header is required")),
    ("GET", ONE, {"anthropic-version": "2023-06-01"}, NO_KEY),
    (
        *("PUT", BATCHES, KEY),
        (405, INVALID, "Method PUT is not allowed here, use GET, HEAD, POST."),
    ),
    (
        *("GET", BATCHES, KEY | {"anthropic-workspace-id": "another"}),
        (403, "permission_error", "anthropic-workspace-id: the API key does not belong to this workspace."),
    ),
    (
        *("GET", BATCHES, KEY | {"authorization": "Basic a"}),
        (401, "authentication_error", "authorization: expected `Bearer` and an API key."),
    ),
    (
        *("GET", BATCHES, KEY | {"host": "evil.example"}),
        (421, INVALID, "host: this server does not answer to evil.example. Add it to allowed_hosts."),
    ),
]


@pytest.mark.parametrize(("method", "path", "headers", "told"), CALLS)
def test_a_call_that_is_refused(
    method: str, path: str, headers: dict[str, str], told: tuple[int, str, str], server: ServerProcess
) -> None:
    reply = ask(server.url, method, path, None, headers)

    status, error_type, message = told
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    assert golden(reply) == an_error(error_type, message)
    assert reply.json()["request_id"] == reply.headers["request-id"]


def test_what_may_not_be_done_with_a_batch_yet_or_any_more(server: ServerProcess, running: str, ended: str) -> None:
    early = ask(server.url, "DELETE", f"{BATCHES}/{running}", b"")
    too_early = ask(server.url, "GET", f"{BATCHES}/{running}/results")
    late = ask(server.url, "POST", f"{BATCHES}/{ended}/cancel", b"")

    advice = "In progress batches cannot be deleted. Consider canceling the batch instead."
    assert (early.status, golden(early)) == (400, an_error(INVALID, advice))
    assert (too_early.status, golden(too_early)) == (
        404,
        an_error("not_found_error", "Message Batch BATCH has no available results."),
    )
    finished = "Message Batch BATCH cannot be canceled because it has already finished processing."
    assert (late.status, golden(late)) == (400, an_error(INVALID, finished))
    assert golden(ask(server.url, "GET", f"{BATCHES}/{running}")) == a_batch("in_progress", processing=1)


def test_a_body_too_large_and_one_that_is_compressed(server: ServerProcess) -> None:
    large = ask(server.url, "POST", BATCHES, b" " * 20001)
    squeezed = ask(server.url, "POST", BATCHES, b"{}", KEY | {"content-encoding": "gzip"})

    too_large = "Request exceeds the maximum size of 20000 bytes."
    assert (large.status, golden(large)) == (413, an_error("request_too_large", too_large))
    unsupported = "content-encoding: compressed request bodies are not supported."
    assert (squeezed.status, golden(squeezed)) == (400, an_error(INVALID, unsupported))


def test_a_range_behind_the_end(server: ServerProcess, ended: str) -> None:
    path = f"{BATCHES}/{ended}/results"
    size = len(ask(server.url, "GET", path).body)

    reply = ask(server.url, "GET", path, None, KEY | {"range": f"bytes={size}-"})

    assert (reply.status, reply.headers["content-type"]) == (416, "application/json")
    assert reply.headers["content-range"] == f"bytes */{size}"
    assert golden(reply) == an_error(INVALID, "range: it lies behind the end of the results.")


def test_damaged_results(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ServerProcess(tmp_path_factory.mktemp("damage") / "data") as server:
        batch_id = create(server, a_create("a"))
        until_ended(server, batch_id)
        [file] = (server.data / "blobs").glob("*.results")
        file.chmod(0o600)
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"succeeded", b"Succeeded"))

        reply = ask(server.url, "GET", f"{BATCHES}/{batch_id}/results")

        told = "The stored results of Message Batch BATCH are damaged; nothing of them was sent."
        assert (reply.status, reply.headers["x-should-retry"]) == (500, "false")
        assert golden(reply) == an_error("api_error", told)


def test_a_server_that_is_stopping(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ServerProcess(tmp_path_factory.mktemp("stopping") / "data") as server:
        create(server, a_create("a", **SLOW))
        assert server.process is not None
        deadline = time.monotonic() + 30
        server.process.send_signal(signal.SIGTERM)
        while (reply := ask(server.url, "POST", BATCHES, a_create("b"))).status == 200:
            assert time.monotonic() < deadline

        assert (reply.status, reply.headers["retry-after"]) == (529, "5")
        told = "This server takes no new batches now (draining). Try again later."
        assert golden(reply) == an_error("overloaded_error", told)
