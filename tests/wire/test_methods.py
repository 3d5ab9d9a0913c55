"""Methods that HTTP does not know, over real sockets: the parser knows some 50, a path says itself which it has."""

import json

import pytest

from tests.wire.test_connections import PATH, Clients, closed, head, on_a_server, one_answer

KNOWN_ONES = "DELETE, GET, HEAD"


@pytest.mark.parametrize("method", ["FOO", "get", "GETX", "M-SEARCHES", "!#$%&'*+.^_`|~-09", "A" * 1_000])
def test_a_method_that_nobody_knows_is_a_405_like_any_other(method: str) -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"{method} {PATH}/msgbatch_013Zva2CMHLNnXjNJJKqJ2EF HTTP/1.1"))
        status, headers, body = await one_answer(reader)

        told = json.loads(body)
        assert (status, told["type"], told["error"]["type"]) == (405, "error", "invalid_request_error")
        assert told["error"]["message"].startswith(f"Method {method[:20]}")
        assert headers["allow"].upper() == KNOWN_ONES
        assert told["request_id"].lower() == headers["request-id"]

    on_a_server(scenario)


def test_its_key_and_its_path_are_judged_first() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        for line, key, expected in (
            ("FOO /nothing HTTP/1.1", "key-one", 404),
            (f"FOO {PATH} HTTP/1.1", "", 401),
            (f"FOO {PATH} HTTP/1.1", "key-one", 405),
            (f"GET {PATH} HTTP/1.1", "key-one", 200),
        ):
            writer.write(head(line, **{"x-api-key": key}))
            assert (await one_answer(reader))[0] == expected

    on_a_server(scenario)


def test_its_body_is_a_body() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        inside = head(f"GET {PATH} HTTP/1.1")
        writer.write(b"\r\n" + head(f"BREW {PATH} HTTP/1.1", content_length=str(len(inside)), connection="close"))
        writer.write(inside)

        answers = await closed(reader)
        assert answers.count(b"HTTP/1.1 ") == 1
        assert answers.startswith(b"HTTP/1.1 405 ")

    on_a_server(scenario)


def test_bytes_of_a_body_are_never_taken_for_a_head() -> None:
    """The parser fails behind the body, in bytes that begin with it: what lies there must not be read a second time."""

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        body = head("FOO /nothing HTTP/1.1")
        writer.write(head(f"POST {PATH} HTTP/1.1", content_length=str(len(body)), expect="100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body + head(f"FOO {PATH} HTTP/1.1"))

        answers = await closed(reader)
        assert answers.count(b"HTTP/1.1 ") == 1
        assert answers.startswith(b"HTTP/1.1 400 ")

    on_a_server(scenario)


def test_behind_another_call_in_the_same_bytes_it_ends_the_connection() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"GET {PATH} HTTP/1.1") + head(f"FOO {PATH} HTTP/1.1"))

        answers = await closed(reader)
        assert answers.count(b"HTTP/1.1 ") == 1
        assert answers.startswith(b"HTTP/1.1 200 ")

    on_a_server(scenario)


@pytest.mark.parametrize("line", ["FOO", "FOO /x", "FOO /x HTTP/2.0", "F\tO /x HTTP/1.1", "\x16\x03\x01 /x HTTP/1.1"])
def test_what_is_no_request_line_is_a_400(line: str) -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(line))
        assert (await one_answer(reader))[0] == 400
        assert await closed(reader) == b""

    on_a_server(scenario)
