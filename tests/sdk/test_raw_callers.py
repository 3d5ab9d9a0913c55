"""The SDKs that cannot run here: their headers, and their pagers as the small loops they are."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk.raw import BATCHES, KEY, Reply, a_create, ask

MOST_CALLS = 20
BATCH_COUNT = 7
JSON_TYPE = {"content-type": "application/json"}
LANGUAGES = {
    "java": {"accept": "application/json", "x-stainless-lang": "java", "x-stainless-timeout": "600"},
    "ruby": {"accept": "application/json", "accept-encoding": "gzip", "x-stainless-lang": "ruby"},
    "php": {"accept": "application/json", "x-stainless-lang": "php", "x-stainless-timeout": "NOT_GIVEN"},
    "csharp": {"accept": "application/json", "accept-encoding": "gzip, deflate, br", "x-stainless-lang": "csharp"},
    "go": {"accept": "application/json", "accept-encoding": "gzip", "x-stainless-lang": "go"},
    "curl": {"accept": "*/*"},
}
RESULTS_ACCEPTS = ("application/x-jsonl", "application/binary", "application/json", "*/*", None)
Page = dict[str, Any]
Fetch = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("raw") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def ids(paged: ServerProcess) -> list[str]:
    """The batches of the paged server, newest first."""
    return [paged.create(1, words=f"batch {number}")["id"] for number in range(BATCH_COUNT)][::-1]


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("pages") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def ended(server: ServerProcess) -> str:
    """A batch that has ended, with a good and a bad line."""
    created = ask(server.url, "POST", BATCHES, a_create("a", "b"), KEY | JSON_TYPE).json()
    return str(until_ended(server, created["id"])["id"])


def until_ended(server: ServerProcess, batch_id: str) -> Any:
    deadline = time.monotonic() + 60
    while (batch := ask(server.url, "GET", f"{BATCHES}/{batch_id}").json())["processing_status"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return batch


def fetching(server: ServerProcess) -> tuple[Fetch, list[Page]]:
    """Return a list call that refuses to loop for ever, and the pages it has given."""
    pages: list[Page] = []

    def fetch(**query: Any) -> Page:
        assert len(pages) < MOST_CALLS, "the pager does not end"
        reply = ask(server.url, "GET", f"{BATCHES}?{urlencode(query)}")
        assert reply.status == 200
        pages.append(reply.json())
        return pages[-1]

    return fetch, pages


def java_forward(fetch: Fetch) -> list[str]:
    """Ignores ``has_more``: goes on until a page is empty."""
    seen, query = [], {"limit": 3}
    while (page := fetch(**query))["data"]:
        seen += [batch["id"] for batch in page["data"]]
        query["after_id"] = page["last_id"]
    return seen


def java_backward(fetch: Fetch, before_id: str) -> list[str]:
    seen, query = [], {"limit": 3, "before_id": before_id}
    while (page := fetch(**query))["data"]:
        seen += [batch["id"] for batch in page["data"]]
        query["before_id"] = page["first_id"]
    return seen


def php_and_ruby(fetch: Fetch, **query: Any) -> list[str]:
    """Prefer to go back: whatever was asked, the next page is the one before the first id that was seen."""
    seen, page = [], fetch(limit=3, **query)
    while page["data"]:
        seen += [batch["id"] for batch in page["data"]]
        if page["first_id"] is not None:
            page = fetch(limit=3, before_id=page["first_id"])
        elif page["last_id"] is not None:
            page = fetch(limit=3, after_id=page["last_id"])
    return seen


def csharp(fetch: Fetch, **query: Any) -> list[str]:
    """Always moves ``after_id`` on, and keeps a caller's ``before_id`` beside it."""
    page = fetch(limit=2, **query)
    seen = [batch["id"] for batch in page["data"]]
    while page["has_more"]:
        page = fetch(limit=2, **{**query, "after_id": page["last_id"]})
        seen += [batch["id"] for batch in page["data"]]
    return seen


def test_javas_pager_sees_every_batch_once_and_ends_on_an_empty_page(paged: ServerProcess, ids: list[str]) -> None:
    fetch, pages = fetching(paged)

    assert java_forward(fetch) == ids

    assert pages[-1] == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert len(pages) == 4


def test_javas_pager_goes_back_the_same_way(paged: ServerProcess, ids: list[str]) -> None:
    fetch, pages = fetching(paged)

    assert java_backward(fetch, ids[5]) == [*ids[2:5], *ids[:2]]

    assert pages[-1] == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_phps_and_rubys_pagers_end_after_the_first_page(paged: ServerProcess, ids: list[str]) -> None:
    fetch, pages = fetching(paged)

    assert php_and_ruby(fetch) == ids[:3]

    assert pages[-1] == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert len(pages) == 2


def test_phps_and_rubys_pagers_walk_back_to_the_newest(paged: ServerProcess, ids: list[str]) -> None:
    fetch, _ = fetching(paged)

    assert php_and_ruby(fetch, before_id=ids[6]) == [*ids[3:6], *ids[:3]]


def test_csharps_pager_sees_every_batch_once(paged: ServerProcess, ids: list[str]) -> None:
    fetch, pages = fetching(paged)

    assert csharp(fetch) == ids

    assert [page["has_more"] for page in pages] == [True, True, True, False]


def test_csharps_pager_never_passes_the_bound_that_its_caller_gave(paged: ServerProcess, ids: list[str]) -> None:
    fetch, _ = fetching(paged)

    seen = csharp(fetch, before_id=ids[4])

    assert seen
    assert set(seen) <= set(ids[:4])
    assert len(seen) == len(set(seen))


def test_a_batch_made_while_somebody_pages_moves_no_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ServerProcess(tmp_path_factory.mktemp("moving") / "data") as server:
        made = [server.create(1)["id"] for _ in range(4)][::-1]
        fetch, _ = fetching(server)

        first = fetch(limit=2)
        server.create(1)
        second = fetch(limit=2, after_id=first["last_id"])

        assert [batch["id"] for batch in first["data"] + second["data"]] == made


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_life_in_the_words_of(language: str, server: ServerProcess) -> None:
    headers = KEY | LANGUAGES[language]
    empty = None if language == "curl" else b""  # the SDKs say that there is no body, in JSON

    created = ask(server.url, "POST", BATCHES, a_create("a"), headers | JSON_TYPE)
    batch_id = created.json()["id"]
    until_ended(server, batch_id)
    lines = ask(server.url, "GET", f"{BATCHES}/{batch_id}/results", None, headers | {"accept": "application/x-jsonl"})
    deleted = ask(server.url, "DELETE", f"{BATCHES}/{batch_id}", empty, headers | JSON_TYPE)

    assert created.status == lines.status == deleted.status == 200
    assert created.headers["content-type"] == deleted.headers["content-type"] == "application/json"
    assert lines.headers["content-type"] == "application/x-jsonl"
    assert "content-encoding" not in lines.headers
    assert json.loads(lines.body)["custom_id"] == "a"
    assert deleted.json() == {"id": batch_id, "type": "message_batch_deleted"}


@pytest.mark.parametrize("accept", RESULTS_ACCEPTS)
@pytest.mark.parametrize("encoding", ["identity", "gzip, deflate", "gzip;q=1.0,deflate;q=0.6,identity;q=0.3", None])
def test_results_are_the_same_bytes_whatever_is_accepted(
    accept: str | None, encoding: str | None, server: ServerProcess, ended: str
) -> None:
    chosen = {"accept": accept, "accept-encoding": encoding}
    headers = KEY | {name: value for name, value in chosen.items() if value is not None}

    reply = ask(server.url, "GET", f"{BATCHES}/{ended}/results", None, headers)

    plain = ask(server.url, "GET", f"{BATCHES}/{ended}/results")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-jsonl"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert "content-encoding" not in reply.headers
    assert reply.body == plain.body
    assert reply.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize("path", ["", "/results"])
def test_head_tells_what_get_would(path: str, server: ServerProcess, ended: str) -> None:
    got = ask(server.url, "GET", f"{BATCHES}/{ended}{path}")
    head = ask(server.url, "HEAD", f"{BATCHES}/{ended}{path}")

    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))


def refused(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json()["error"]["type"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", JSON_TYPE),
        (None, JSON_TYPE),
        (b"", {}),
        (b"0\r\n\r\n", {"transfer-encoding": "chunked", **JSON_TYPE}),
        (b"{}", JSON_TYPE),
    ],
    ids=["length 0", "no length", "no type", "chunked", "an object"],
)
def test_cancel_and_delete_look_at_no_body(
    body: bytes | None, headers: dict[str, str], server: ServerProcess, ended: str
) -> None:
    def send(method: str, path: str) -> Reply:
        if "transfer-encoding" in headers:
            return ask_chunked(server.url, method, path, headers)
        return ask(server.url, method, path, body, KEY | headers)

    batch_id = ask(server.url, "POST", BATCHES, a_create("a"), KEY | JSON_TYPE).json()["id"]
    until_ended(server, batch_id)

    assert refused(send("POST", f"{BATCHES}/{ended}/cancel")) == (400, "invalid_request_error")
    assert "already finished" in send("POST", f"{BATCHES}/{ended}/cancel").json()["error"]["message"]
    assert send("DELETE", f"{BATCHES}/{batch_id}").json()["type"] == "message_batch_deleted"


def ask_chunked(url: str, method: str, path: str, headers: dict[str, str]) -> Reply:
    """Send an empty body in chunks: its end alone."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request(method, path, iter(()), {**KEY, **headers}, encode_chunked=True)
    answer = connection.getresponse()
    reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
    connection.close()
    return reply
