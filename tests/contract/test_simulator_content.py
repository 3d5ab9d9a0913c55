"""What the simulator makes of tools, schemas, documents, thinking, citations and the prompt cache."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from batchyard.domain.outcome import Answered, Refused
from batchyard.domain.usage import Usage
from batchyard.upstream.simulator import Simulator, SimulatorSettings
from tests.contract.test_simulator import answer, attempt, params, words

WEATHER = {
    "name": "get_weather",
    "description": "Get weather",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
STOCKS = {
    "name": "stock_price",
    "input_schema": {"type": "object", "properties": {"ticker": {"type": "string", "pattern": "^[A-Z]{4}$"}}},
}
SF = "What's the weather in SF?"
SENTIMENT = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}, "sure": {"type": "boolean"}},
    "required": ["sentiment", "sure"],
    "additionalProperties": False,
}


def uses(content: Any = SF, **members: Any) -> list[dict[str, Any]]:
    message = answer(content, **members)
    found = [block for block in message["content"] if block["type"] == "tool_use"]
    assert (message["stop_reason"] == "tool_use") is bool(found)
    return found


def refusal(content: Any = "Hello there", **members: Any) -> tuple[str, str]:
    outcome = attempt(params(content, **members))
    assert isinstance(outcome, Refused), outcome
    return outcome.error.type, outcome.error.message


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": encoded(data)}}


def pdf(data: bytes, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": encoded(data)}
    return {"type": "document", "source": source, **more}


def notes(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words}, **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


MISMATCH = "The image was specified using the image/jpeg media type, but the image appears to be a image/png image"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480) + b"\x08\x02"
GIF = b"GIF89a" + struct.pack("<HH", 12, 34) + b"\x00"
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
    + b"\x00" * 9
    + b"\xff\xff\xc2\x00\x11\x08"
    + struct.pack(">HH", 200, 300)
    + b"\x03"
)
WEBP_LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 55, 44)
WEBP_LOSSLESS = b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + struct.pack("<I", 54 | 43 << 14) + b"\x00" * 5
WEBP_LONG = b"RIFF\x00\x00\x00\x00WEBPVP8X\x00\x00\x00\x00\x00\x00\x00\x00" + b"\x36\x00\x00\x2b\x00\x00"
PDF = b"%PDF-1.4\n1 0 obj << /Type /Pages /Count 2 >> << /Type /Page >> << /Type/Page/Parent 1 0 R >>"


def test_a_tool_that_fits_the_question_is_used_with_an_input_that_satisfies_its_schema() -> None:
    message = answer(SF, tools=[STOCKS, WEATHER])

    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert "simulated" in message["content"][0]["text"]
    assert message["content"][1]["name"] == "get_weather"
    assert message["content"][1]["input"] == {"location": "simulated location"}
    assert message["content"][1]["id"].startswith("toolu_01Simulated")


def test_a_tool_that_does_not_fit_is_left_alone_unless_one_is_demanded() -> None:
    assert uses("Tell me a joke", tools=[WEATHER]) == []
    assert [use["name"] for use in uses("Tell me a joke", tools=[STOCKS, WEATHER], tool_choice={"type": "any"})] == [
        "stock_price"
    ]
    chosen = answer("Tell me a joke", tools=[STOCKS, WEATHER], tool_choice={"type": "tool", "name": "get_weather"})
    assert [block["type"] for block in chosen["content"]] == ["tool_use"]
    assert uses(tools=[WEATHER], tool_choice={"type": "none"}) == []


def test_several_tools_are_used_at_once_unless_that_is_disabled() -> None:
    both = "Compare the weather with the stock price"

    assert len(uses(both, tools=[STOCKS, WEATHER])) == 2
    assert len({use["id"] for use in uses(both, tools=[STOCKS, WEATHER])}) == 2
    for kind in ("auto", "any"):
        choice = {"type": kind, "disable_parallel_tool_use": True}
        assert len(uses(both, tools=[STOCKS, WEATHER], tool_choice=choice)) == 1


def test_after_a_tool_result_comes_text() -> None:
    first = answer(SF, tools=[WEATHER])
    [use] = [block for block in first["content"] if block["type"] == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "It is 15 degrees and sunny"}
    turns = [
        {"role": "user", "content": SF},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]
    second = answer(messages=turns, tools=[WEATHER])

    assert second["stop_reason"] == "end_turn"
    assert "It is 15 degrees and…" in second["content"][0]["text"]


def test_a_tool_that_the_service_defines_gets_an_input_of_its_kind() -> None:
    [use] = uses("run it", tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "any"})

    assert use["input"] == {"command": "echo simulated"}


def test_a_tool_that_the_service_runs_is_never_used() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}

    assert uses("search the web", tools=[search], tool_choice={"type": "any"}) == []


def test_a_schema_keyword_that_is_not_known_is_named() -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object", "if": {}}}

    assert refusal(SF, tools=[tool]) == (
        "invalid_request_error",
        "tools.0.input_schema: the simulator does not know the JSON Schema keyword 'if'",
    )
    assert answer("Tell me a joke", tools=[tool])["stop_reason"] == "end_turn"
    schema = {"type": "object", "properties": {"a": {"not": {}}}}
    assert refusal(output_config={"format": {"type": "json_schema", "schema": schema}})[1].startswith(
        "output_config.format.schema.properties.a: the simulator does not know"
    )


def test_a_tool_use_that_does_not_fit_is_left_out() -> None:
    message = answer(SF, tools=[WEATHER], tool_choice={"type": "any"}, max_tokens=3)

    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")


@pytest.mark.parametrize("member", ["output_config", "output_format"])
def test_a_structured_answer_satisfies_its_schema(member: str) -> None:
    wanted = {"type": "json_schema", "schema": SENTIMENT}
    members = {"output_config": {"format": wanted}} if member == "output_config" else {"output_format": wanted}
    outcome = attempt(params("Great!", **members), betas=("structured-outputs-2025-11-13",))

    assert isinstance(outcome, Answered)
    answered = json.loads(json.loads(outcome.message)["content"][0]["text"])
    assert answered["sentiment"] in ("positive", "negative")
    assert type(answered["sure"]) is bool


def test_json_that_is_asked_for_in_words_has_the_keys_that_were_named() -> None:
    template = 'Extract as JSON: {"name": "string", "age": number, "kind": "a|b", "tags": ["x"], "old": true}'
    extracted = json.loads(words(template))

    assert list(extracted) == ["name", "age", "kind", "tags", "old"]
    assert [type(value) for value in extracted.values()] == [str, int, str, list, bool]
    assert extracted["kind"] in ("a", "b")
    assert list(json.loads(words("Return only JSON with keys title, body and score."))) == ["title", "body", "score"]
    assert json.loads(words("Respond in JSON."))["simulated"] is True


def test_a_begun_answer_is_continued() -> None:
    turns = [{"role": "user", "content": "Respond in JSON."}, {"role": "assistant", "content": "{"}]

    assert json.loads("{" + words(messages=turns))["simulated"] is True


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ("Classify this review: 'Great product!' — positive/negative/neutral", ["positive"]),
        ("Classify: 'Terrible, do not buy' -> positive/negative/neutral", ["negative"]),
        (
            'Classify this review as positive, negative, or neutral. Reply with just the label.\nReview: "It is a cup"',
            ["neutral"],
        ),
        ("Label this ticket as billing, bug, or feature request: it crashes", ["billing", "bug", "feature request"]),
        (
            "Categories: sports, politics, science\nClassify the article: rain tomorrow",
            ["sports", "politics", "science"],
        ),
        ("Pick one of the categories:\n- Sports\n- World Politics\n\nArticle: rain", ["Sports", "World Politics"]),
        ("Is this spam? Answer with yes or no.", ["yes", "no"]),
    ],
)
def test_a_classification_gets_one_of_its_labels(asked: str, labels: list[str]) -> None:
    assert words(asked) in labels
    assert words("It came yesterday", system=asked) in [*labels, "neutral", "positive", "negative"]


@pytest.mark.parametrize(
    "asked",
    [
        "Write a label for a lamp as light and strong as steel",
        "Translate and/or summarize this",
        "What is 3/4 of 12?",
        "Answer the question about the Roman/Greek gods with care",
    ],
)
def test_what_names_no_labels_gets_an_ordinary_answer(asked: str) -> None:
    assert "simulated answer" in words(asked)


@pytest.mark.parametrize(
    ("data", "media_type", "size"),
    [
        (PNG, "image/png", "640 × 480"),
        (GIF, "image/gif", "12 × 34"),
        (JPEG, "image/jpeg", "300 × 200"),
        (WEBP_LOSSY, "image/webp", "55 × 44"),
        (WEBP_LOSSLESS, "image/webp", "55 × 44"),
        (WEBP_LONG, "image/webp", "55 × 44"),
    ],
)
def test_an_image_is_told_by_type_size_and_bytes(data: bytes, media_type: str, size: str) -> None:
    told = words([text("What is this?"), picture(data, media_type)])

    assert f"an image ({media_type}, {size} pixels, {len(data)} bytes)" in told


def test_an_image_costs_tokens_by_its_pixels() -> None:
    plain = answer([text("What is this?")])["usage"]["input_tokens"]

    assert answer([text("What is this?"), picture(PNG)])["usage"]["input_tokens"] == plain + 410


def test_a_pdf_is_told_by_pages_also_when_they_are_compressed() -> None:
    packed = zlib.compress(b"<< /Type /Page >> << /Type /Page >> << /Type /Page >>")
    compressed = b"%PDF-1.5\n1 0 obj << /Type /ObjStm /N 3 /Filter /FlateDecode >>\nstream\n" + packed + b"\nendstream"

    assert f"a PDF document (2 pages, {len(PDF)} bytes)" in words([pdf(PDF), text("Summarize this")])
    assert "a PDF document (3 pages" in words([pdf(compressed), text("Summarize this")])
    assert answer([pdf(PDF), text("x")])["usage"]["input_tokens"] == 4 + 3000 + 1


@pytest.mark.parametrize(
    ("block", "kind", "message"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "no base64!"}},
            "invalid_request_error",
            "messages.0.content.0.source.data: invalid base64 data",
        ),
        (picture(b"hello"), "invalid_request_error", "messages.0.content.0.source.data: Could not process image"),
        (picture(PNG[:20]), "invalid_request_error", "messages.0.content.0.source.data: Could not process image"),
        (
            picture(PNG, "image/jpeg"),
            "invalid_request_error",
            f"messages.0.content.0.source.media_type: {MISMATCH}",
        ),
        (pdf(b"hello"), "invalid_request_error", "messages.0.content.0.source.data: The PDF specified was not valid."),
        (
            {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:1/x.png"}},
            "invalid_request_error",
            "Unable to download the file. Please verify the URL and try again.",
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://example.com/x.pdf"}},
            "invalid_request_error",
            "Unable to download the file. Please verify the URL and try again.",
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "f1"}}, "not_found_error", "File not found: f1"),
    ],
)
def test_what_cannot_be_read_is_refused(block: dict[str, Any], kind: str, message: str) -> None:
    assert refusal([block]) == (kind, message)


def test_an_image_within_a_tool_result_or_document_is_found_too() -> None:
    inside = {"type": "document", "source": {"type": "content", "content": [text("a"), picture(PNG)]}}

    assert "640 × 480" in words([inside, text("Summarize")])


def test_thinking_comes_first_and_is_signed() -> None:
    message = answer(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    thought, said = message["content"]

    assert (thought["type"], said["type"]) == ("thinking", "text")
    assert "simulated" in thought["thinking"]
    assert len(base64.b64decode(thought["signature"])) == 64
    assert message["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    omitted = answer(model="claude-opus-5", thinking={"type": "adaptive", "display": "omitted"})
    assert omitted["content"][0]["thinking"] == ""
    assert answer(thinking={"type": "disabled"})["content"][0]["type"] == "text"


def test_each_kind_of_source_is_cited_at_its_place() -> None:
    cited = {"citations": {"enabled": True}}
    blocks = [
        notes("Silent first document."),
        notes("The grass is green. " * 20, title="Grass", **cited),
        pdf(PDF, **cited),
        {"type": "document", "source": {"type": "content", "content": [picture(PNG), text("Chunk two")]}, **cited},
        {"type": "search_result", "source": "kb/1", "title": "T", "content": [text("Found")], **cited},
        text("What colour is grass?"),
    ]
    citations = [block["citations"][0] for block in answer(blocks)["content"] if block["citations"]]

    assert [citation["type"] for citation in citations] == [
        "char_location",
        "page_location",
        "content_block_location",
        "search_result_location",
    ]
    assert citations[0]["cited_text"] == ("The grass is green. " * 20)[: citations[0]["end_char_index"]]
    assert (citations[0]["document_index"], citations[0]["document_title"]) == (1, "Grass")
    assert (citations[1]["start_page_number"], citations[1]["end_page_number"]) == (1, 2)
    assert (citations[2]["start_block_index"], citations[2]["cited_text"]) == (1, "Chunk two")
    assert (citations[3]["search_result_index"], citations[3]["source"]) == (0, "kb/1")


class Time:
    now = 0.0


LONG = "All work and no play makes a long prompt. " * 100  # 1,050 tokens
FIVE = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


class Cache:
    """A simulator with a clock, and what its answers say of the cache: read, written for 5m, written for 1h."""

    def __init__(self) -> None:
        self.time = Time()
        self.upstream = Simulator(SimulatorSettings(latency=0), now=lambda: self.time.now)

    def ask(self, content: Any = "Hi there", **members: Any) -> tuple[int, int, int]:
        outcome = attempt(params(content, **members), self.upstream)
        assert isinstance(outcome, Answered)
        usage = json.loads(outcome.message)["usage"]
        writes = usage["cache_creation"]
        written = writes["ephemeral_5m_input_tokens"], writes["ephemeral_1h_input_tokens"]
        assert usage["cache_creation_input_tokens"] == sum(written)
        cached = usage["cache_read_input_tokens"], sum(written), written[1]
        assert outcome.usage == Usage(usage["input_tokens"], usage["output_tokens"], *cached)
        return (usage["cache_read_input_tokens"], *written)


def test_a_marked_prefix_is_written_once_and_then_read_until_its_time_is_over() -> None:
    cache, system = Cache(), [text(LONG, cache_control=FIVE)]

    assert cache.ask("first", system=system) == (0, 1050, 0)
    cache.time.now = 299
    assert cache.ask("second", system=system) == (1050, 0, 0)
    cache.time.now = 299 + 299
    assert cache.ask("third", system=system) == (1050, 0, 0)
    cache.time.now += 300
    assert cache.ask("fourth", system=system) == (0, 1050, 0)


def test_an_hour_lasts_an_hour_and_is_written_apart() -> None:
    cache = Cache()
    system = [text(LONG, cache_control=HOUR), text(LONG, cache_control=FIVE)]

    assert cache.ask(system=system) == (0, 1050, 1050)
    cache.time.now = 3599
    assert cache.ask(system=system) == (1050, 1050, 0)
    assert cache.ask(system=system) == (2100, 0, 0)


def test_another_model_prefix_or_too_short_a_one_is_not_read() -> None:
    cache, system = Cache(), [text(LONG, cache_control=FIVE)]
    cache.ask(system=system)

    assert cache.ask(system=system, model="claude-sonnet-4-5") == (0, 1050, 0)
    assert cache.ask(system=[text("x" + LONG, cache_control=FIVE)]) == (0, 1051, 0)
    assert cache.ask(system=[text(LONG)]) == (0, 0, 0)
    assert cache.ask(system=[text(LONG[:4000], cache_control=FIVE)]) == (0, 0, 0)


def test_a_conversation_reads_what_its_last_turn_wrote() -> None:
    cache = Cache()
    first = {"role": "user", "content": [text(LONG)]}
    more = [first, {"role": "assistant", "content": [text("ok")]}, {"role": "user", "content": [text("go on")]}]

    assert cache.ask(messages=[first], cache_control=FIVE) == (0, 1054, 0)
    assert cache.ask(messages=more, cache_control=FIVE) == (1054, 4 + 1 + 4 + 2, 0)


def test_where_the_marks_stand_changes_no_prefix() -> None:
    cache = Cache()
    cache.ask([text(LONG, cache_control=FIVE), text("a question", cache_control=FIVE)])

    assert cache.ask([text(LONG), text("a question", cache_control=FIVE)])[0] == 1054 + 3
    assert cache.ask([text(LONG), text("another", cache_control=FIVE)])[0] == 1054
