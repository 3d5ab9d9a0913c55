"""The judgement of params: blocks of messages, tools, and the rules between them, by API version and beta."""

import json
from typing import Any

import pytest

from batchyard.domain.params import check_params
from batchyard.domain.result import RequestError

OLD, NEW = "2023-06-01", "2026-10-21"
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
TOOL: dict[str, Any] = {"name": "get_weather", "input_schema": {"type": "object"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
NOTES = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "notes"}}
CITATION = {"type": "char_location", "cited_text": "n", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}


def flaw(version: str = OLD, betas: tuple[str, ...] = (), **members: Any) -> str | None:
    merged = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **members}
    verdict = check_params(json.dumps(merged).encode(), version=version, betas=betas, batched=True)
    return verdict.message if isinstance(verdict, RequestError) else None


def said(*blocks: Any, version: str = OLD, betas: tuple[str, ...] = ()) -> str | None:
    return flaw(version, betas, messages=[{"role": "user", "content": list(blocks)}])


def answered(*blocks: Any, version: str = OLD) -> str | None:
    asked = {"role": "user", "content": "Hi"}
    return flaw(version, messages=[asked, {"role": "assistant", "content": list(blocks)}, asked])


def text(words: str = "hi", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def document(**more: Any) -> dict[str, Any]:
    return {**NOTES, **more}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (text(), None),
        (text(cache_control=None), None),
        (text(citations=None), None),
        (text(citations=[CITATION]), None),
        (text(""), "text: String should have at least 1 character"),
        ({"type": "text"}, "text: Field required"),
        ({"text": "x"}, "type: Field required"),
        (text(foo=1), "foo: Extra inputs are not permitted"),
        (text(citations=[{**CITATION, "x": 1}]), "citations.0.x: Extra inputs are not permitted"),
        (text(cache_control={"type": "ephemeral", "ttl": "9m"}), "cache_control.ttl: Input should be '5m' or '1h'"),
        (PNG, None),
        (image(type="url", url="https://example.com/a.png"), None),
        (image(type="file", file_id="file_1"), None),
        (image(type="base64", media_type="image/bmp", data=""), "source.media_type: Input should be 'image/jpeg', "),
        (image(type="url"), "source.url: Field required"),
        ({"type": "image"}, "source: Field required"),
        ({**PNG, "transformations": {"oversized_image": "error"}}, None),
        ({**PNG, "transformations": {"oversized_image": "x"}}, "transformations.oversized_image: Input should be "),
        (NOTES, None),
        (document(title="t", context="c", citations={"enabled": True}, cache_control=EPHEMERAL), None),
        (document(title=""), "title: String should have at least 1 character"),
        (document(title="t" * 501), "title: String should have at most 500 characters"),
        (document(context=""), "context: String should have at least 1 character"),
        (document(citations={"enabled": "yes"}), "citations.enabled: Input should be a valid boolean"),
        (document(source={"type": "content", "content": "x"}), None),
        (document(source={"type": "content", "content": [text(), PNG]}), None),
        (document(source={"type": "content", "content": [text(x=1)]}), "source.content.0.x: Extra inputs are not "),
        (
            document(source={"type": "base64", "media_type": "text/plain", "data": "x"}),
            "source.media_type: Input should be 'application/pdf'",
        ),
        ({"type": "search_result", "source": "s", "title": "t", "content": [text()]}, None),
        ({"type": "search_result", "source": "s", "content": [text()]}, "title: Field required"),
        ({"type": "container_upload", "file_id": "f"}, None),
        ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, None),
        (
            {"type": "thinking", "thinking": "x", "signature": "y"},
            "`thinking` blocks can only be in `assistant` messages",
        ),
        ({**RESULT, "tool_use_id": "a b"}, "tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ({**RESULT, "tool_use_id": "a\n"}, "tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ({**RESULT, "content": [{"type": "thinking"}]}, "content.0: Input tag 'thinking' found using 'type' does not"),
        ({**RESULT, "content": [text(y=1)]}, "content.0.y: Extra inputs are not permitted"),
        ({**RESULT, "is_error": 1}, "is_error: Input should be a valid boolean"),
        ("text", "Input should be a valid dictionary"),
    ],
)
def test_a_block_of_a_user_message(block: Any, message: str | None) -> None:
    found = said(text("first"), block)

    if message is None:
        assert found is None
    else:
        assert found is not None
        path, sentence = found.removeprefix("messages.0.content.1").lstrip("."), message
        assert path.removeprefix(": ").startswith(sentence)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"type": "thinking", "thinking": "x", "signature": "y"}, None),
        ({"type": "thinking", "thinking": "x"}, "messages.1.content.0.signature: Field required"),
        ({"type": "redacted_thinking", "data": "x"}, None),
        (text(citations=[CITATION]), None),
        ({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, None),
        ({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}, "messages.1.content.0.id: String"),
        ({"type": "server_tool_use", "id": "srvtoolu_1", "name": "x", "input": {}}, "messages.1.content.0.name: Input"),
        ({**USE, "id": "a.b"}, "messages.1.content.0.id: String should match pattern"),
        ({**USE, "name": ""}, "messages.1.content.0.name: String should have at least 1 character"),
        ({**USE, "input": "x"}, "messages.1.content.0.input: Input should be a valid dictionary"),
        ({**USE, "caller": {"type": "x"}}, "messages.1.content.0.caller: Input tag 'x'"),
        (RESULT, "messages.1.content.0: `tool_result` blocks can only be in `user` messages"),
    ],
)
def test_a_block_of_an_assistant_message(block: Any, message: str | None) -> None:
    found = answered(block)

    assert (found is None) if message is None else (found is not None and found.startswith(message))


def test_the_newer_version_takes_no_document_from_the_assistant() -> None:
    assert answered(NOTES) is None
    assert answered(NOTES, version=NEW) == "messages.1.content.0: `document` blocks can only be in `user` messages"
    assert said(NOTES, version=NEW) is None


def test_the_newer_version_takes_no_citations_in_the_words_of_a_user() -> None:
    cited = text(citations=[CITATION])
    result = {"type": "search_result", "source": "s", "title": "t", "content": [cited]}
    sentence = "citations: citations are not allowed in text blocks of user messages"

    assert said(cited) is said(result) is None
    assert said(cited, version=NEW) == f"messages.0.content.0.{sentence}"
    assert said(result, version=NEW) == f"messages.0.content.0.content.0.{sentence}"
    assert said(text(citations=[]), version=NEW) is None
    assert answered(cited, version=NEW) is None


@pytest.mark.parametrize(
    ("block", "beta"),
    [
        ({"type": "mcp_tool_result", "tool_use_id": "x", "content": []}, "mcp-client-2025-04-04"),
        ({"type": "compaction", "content": "x"}, "compact-2026-01-12"),
        ({"type": "tool_removal", "name": "x"}, "mid-conversation-tool-changes-2026-07-01"),
    ],
)
def test_a_block_of_a_beta_is_unknown_without_it(block: Any, beta: str) -> None:
    assert "does not match any of the expected tags" in str(said(block))
    assert said(block, betas=(beta,)) is None
    assert "cache_control" in str(said({**block, "cache_control": 5}, betas=(beta,)))


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "user", "content": ""}], "messages.0: all messages must have non-empty content except for the "),
        ([{"role": "user", "content": []}], "messages.0: all messages must have non-empty content except for the "),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}], None),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": [RESULT]},
            ],
            None,
        ),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "content": [USE]}],
            "messages.1: `tool_use` ids were",
        ),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": "y"},
            ],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
        ),
        ([{"role": "user", "content": [RESULT]}], "messages.0.content.0: unexpected `tool_use_id` found in"),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [text()]},
                {"role": "assistant", "content": [USE]},
                {"role": "system", "content": "y"},
                {"role": "user", "content": "z"},
                {"role": "user", "content": [text(), RESULT]},
            ],
            None,
        ),
        ([{"role": "system", "content": [PNG]}], "messages.0.content.0: Input tag 'image'"),
    ],
)
def test_the_order_of_messages(messages: Any, message: str | None) -> None:
    found = flaw(messages=messages)

    assert (found is None) if message is None else (found is not None and found.startswith(message))


def test_at_most_four_marks_for_the_cache_wherever_they_are() -> None:
    marked = text(cache_control=EPHEMERAL)
    nested = {**RESULT, "content": [marked], "cache_control": EPHEMERAL}
    use = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [USE]}]
    four: dict[str, Any] = {
        "tools": [{**TOOL, "cache_control": EPHEMERAL}],
        "system": [marked],
        "messages": [*use, {"role": "user", "content": [nested]}],
    }

    assert flaw(**four) is None
    assert flaw(**four, cache_control=EPHEMERAL) == (
        "A maximum of 4 blocks with cache_control may be provided. Found 5."
    )


def test_an_hour_may_not_come_after_five_minutes() -> None:
    early, late = text(cache_control=HOUR), text(cache_control=EPHEMERAL)

    assert flaw(system=[early], messages=[{"role": "user", "content": [late]}]) is None
    found = flaw(system=[late], messages=[{"role": "user", "content": [early]}])
    assert found is not None
    assert found.startswith(
        "messages.0.content.0.cache_control.ttl: a ttl='1h' cache_control block must not come after"
    )


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (TOOL, None),
        ({**TOOL, "type": None}, None),
        ({**TOOL, "type": "custom", "description": "d", "strict": True, "defer_loading": False}, None),
        ({**TOOL, "eager_input_streaming": None, "input_examples": [{}], "allowed_callers": ["direct"]}, None),
        ({**TOOL, "input_schema": {"type": "object", "properties": {}, "anything": 1}}, None),
        ({**TOOL, "name": "a b"}, "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ({**TOOL, "name": "a" * 129}, "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ({"name": "x"}, "tools.0.input_schema: Field required"),
        ({**TOOL, "input_schema": {"type": "string"}}, "tools.0.input_schema.type: Input should be 'object'"),
        ({**TOOL, "input_schema": {}}, "tools.0.input_schema.type: Field required"),
        ({**TOOL, "parameters": {}}, "tools.0.parameters: Extra inputs are not permitted"),
        ({**TOOL, "allowed_callers": ["x"]}, "tools.0.allowed_callers.0: Input should be 'direct', "),
        ({**TOOL, "type": "x"}, "tools.0: Input tag 'x' found using 'type' does not match any of the expected tags"),
        ({"type": "bash_20250124", "name": "bash"}, None),
        ({"type": "bash_20250124", "name": "sh"}, "tools.0.name: Input should be 'bash'"),
        ({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9}, None),
        (
            {"type": "text_editor_20250429", "name": "str_replace_based_edit_tool", "max_characters": 9},
            "tools.0.max_ch",
        ),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 1, "allowed_domains": ["a.example"]}, None),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 0}, "tools.0.max_uses: Input should be "),
        ({"type": "web_search_20250305", "name": "web_search", "response_inclusion": "full"}, "tools.0.response_inc"),
        ({"type": "web_search_20260318", "name": "web_search", "response_inclusion": "full"}, None),
        (
            {
                "type": "web_search_20260209",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Ulm", "country": "DEU"},
            },
            "tools.0.user_location.country: String should have at most 2 characters",
        ),
        ({"type": "web_fetch_20260309", "name": "web_fetch", "use_cache": False, "citations": {"enabled": True}}, None),
        (
            {"type": "web_fetch_20250910", "name": "web_fetch", "use_cache": False},
            "tools.0.use_cache: Extra inputs are",
        ),
        ({"type": "tool_search_tool_regex", "name": "tool_search_tool_regex"}, None),
        ({"type": "memory_20250818", "name": "memory"}, None),
        ({"type": "code_execution_20260521", "name": "code_execution"}, None),
        ({"type": "computer_toolset_20260801", "configs": {}}, None),
        ({"type": "computer_toolset_20260801", "name": "computer"}, "tools.0.name: Extra inputs are not permitted"),
    ],
)
def test_a_tool(tool: Any, message: str | None) -> None:
    found = flaw(tools=[tool])

    assert (found is None) if message is None else (found is not None and found.startswith(message))


def test_a_tool_of_a_beta_is_unknown_without_it() -> None:
    computer = {"type": "computer_20250124", "name": "computer", "display_width_px": 800}

    assert "does not match any of the expected tags" in str(flaw(tools=[computer]))
    assert flaw(betas=("computer-use-2025-01-24",), tools=[computer]) is None


def test_tools_have_names_of_their_own() -> None:
    assert flaw(tools=[TOOL, TOOL]) == "tools: Tool names must be unique."
