"""Params as chat completions: what is carried, how, and what is refused by its path."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchyard.domain.result import RequestError
from batchyard.domain.servers import SERVERS
from batchyard.upstream.chat_answer import Asked
from batchyard.upstream.chat_dialect import Dialect, dialect_of
from batchyard.upstream.chat_request import Translated, translate

LOCAL, OPENAI = Dialect(), dialect_of(SERVERS["auto"], "api.openai.com")
VLLM, SGLANG, LLAMA_CPP, OLLAMA = (
    dialect_of(SERVERS[name], "127.0.0.1") for name in ("vllm", "sglang", "llama.cpp", "ollama")
)
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
SAID = [{"role": "user", "content": "hi"}]
PNG: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
SCHEMA = {"type": "json_schema", "schema": {"type": "object"}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


def said(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def body(dialect: Dialect = LOCAL, **members: Any) -> dict[str, Any]:
    params = {"model": "m", "max_tokens": 5, "messages": SAID, **members}
    translated = translate(json.dumps(params).encode(), dialect)
    assert isinstance(translated, Translated), translated
    found: dict[str, Any] = json.loads(translated.body)
    return found


def refused(dialect: Dialect = LOCAL, **members: Any) -> str:
    params = {"model": "m", "max_tokens": 5, "messages": SAID, **members}
    translated = translate(json.dumps(params).encode(), dialect)
    assert isinstance(translated, RequestError), translated
    assert translated.type == "invalid_request_error"
    return translated.message


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The chat messages of these turns, with one of the user's at the end."""
    found: list[dict[str, Any]] = body(messages=[*messages, *SAID])["messages"]
    assert found.pop() == {"role": "user", "content": "hi"}
    return found


@pytest.mark.parametrize(
    ("members", "carried"),
    [
        ({"temperature": 0.1, "top_p": 0.9, "top_k": 4}, {"temperature": 0.1, "top_p": 0.9, "top_k": 4}),
        ({"seed": 7, "min_p": 0.05}, {"seed": 7, "min_p": 0.05}),
        ({"presence_penalty": 0.5, "frequency_penalty": -1}, {"presence_penalty": 0.5, "frequency_penalty": -1}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"metadata": {"user_id": "u1"}}, {"user": "u1"}),
        ({"metadata": None, "cache_control": {"type": "ephemeral"}, "service_tier": "auto"}, {}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"chat_template_kwargs": {"enable_thinking": True}}),
        ({"thinking": {"type": "disabled"}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
        (
            {"tool_choice": {"type": "tool", "name": "f"}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "description": "d",
                            "parameters": {"type": "object"},
                            "strict": True,
                        },
                    }
                ]
            },
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
    ],
)
def test_members_are_carried(members: dict[str, Any], carried: dict[str, Any]) -> None:
    plain = {"model": "m", "max_tokens": 5, "messages": SAID}

    assert body(**members) == plain | carried


def test_numbers_and_schemas_keep_their_bytes() -> None:
    raw = (
        b'{"model":"m","max_tokens":5,"temperature":0.10,"messages":[{"role":"user","content":"x"}],'
        b'"tools":[{"name":"f","input_schema":{"b":12345678901234567890123,"a":1e400}}]}'
    )
    translated = translate(raw, LOCAL)

    assert isinstance(translated, Translated)
    assert b'"temperature":0.10' in translated.body
    assert b'{"b":12345678901234567890123,"a":1e400}' in translated.body


def test_openai_gets_its_own_names() -> None:
    sent = body(OPENAI, thinking={"type": "enabled", "budget_tokens": 20_000})

    assert sent["max_completion_tokens"] == 5
    assert "max_tokens" not in sent
    assert sent["reasoning_effort"] == "high"
    assert "chat_template_kwargs" not in sent
    assert sent["messages"] == body(OPENAI, thinking=None, seed=1)["messages"]


@pytest.mark.parametrize("dialect", [OPENAI, OLLAMA])
@pytest.mark.parametrize("name", ["top_k", "min_p"])
def test_what_a_server_would_refuse_or_not_heed_is_not_sent(dialect: Dialect, name: str) -> None:
    assert refused(dialect, **{name: 1}) == f"{name}: this server's chat completions cannot carry it"
    assert body(dialect, seed=1)["seed"] == 1


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled"}}, "medium"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "high"}}, "high"),
    ],
)
def test_ollama_is_told_by_an_effort_whether_to_think(members: dict[str, Any], effort: str | None) -> None:
    """It does not heed what others are told through the chat template."""
    sent = body(OLLAMA, **members)

    assert sent.get("reasoning_effort") == effort
    assert "chat_template_kwargs" not in sent


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "any"},
        {"type": "none"},
        {"type": "tool", "name": "f"},
        {"type": "auto", "disable_parallel_tool_use": True},
    ],
)
def test_a_choice_of_tool_that_ollama_would_not_heed_is_not_sent(choice: dict[str, Any]) -> None:
    assert refused(OLLAMA, tool_choice=choice) == "tool_choice: this server's chat completions heed none but auto"
    assert body(OLLAMA, tool_choice={"type": "auto"})["tool_choice"] == "auto"


@pytest.mark.parametrize("dialect", [VLLM, SGLANG, LLAMA_CPP, OLLAMA])
def test_a_pdf_goes_to_no_server_that_takes_none(dialect: Dialect) -> None:
    """Some of them would answer as if it were not there."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [PDF]}
    why = "this server's chat completions take no PDF; send its text"

    assert refused(dialect, messages=[said(PDF)]) == f"messages.0.content.0: {why}"
    assert refused(dialect, messages=[said(result)]) == f"messages.0.content.0.content.0: {why}"
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}
    assert body(dialect, messages=[said(text)])["messages"] == [{"role": "user", "content": "D"}]


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (LOCAL, {"reasoning_content", "reasoning"}),
        (VLLM, {"reasoning_content", "reasoning"}),  # newer vLLM reads the second alone, older the first
        (OLLAMA, {"reasoning_content", "reasoning"}),
        (SGLANG, {"reasoning_content"}),
        (LLAMA_CPP, {"reasoning_content"}),
        (OPENAI, set()),
    ],
)
def test_earlier_thinking_goes_back_under_the_names_that_are_read(dialect: Dialect, names: set[str]) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    message = body(dialect, messages=[said(thought, {"type": "text", "text": "x"}, role="assistant"), *SAID])
    told = message["messages"][0]

    assert told == {"role": "assistant", "content": "x"} | dict.fromkeys(names, "Hm.")


@pytest.mark.parametrize(
    ("host", "is_openai"),
    [
        ("api.openai.com", True),
        ("eu.api.openai.com", True),
        ("mine.openai.azure.com", True),
        ("mine.services.ai.azure.com", False),  # other makers' models too
        ("127.0.0.1", False),
    ],
)
def test_openais_own_models_are_known_by_their_host(host: str, is_openai: bool) -> None:
    assert dialect_of(SERVERS["auto"], host).is_openai is is_openai


def test_a_system_prompt_is_the_first_message() -> None:
    blocks = [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "two"}]

    assert body(system="be brief")["messages"][0] == {"role": "system", "content": "be brief"}
    assert body(system=blocks)["messages"][0] == {"role": "system", "content": "one\n\ntwo"}
    assert turns({"role": "system", "content": "later"}) == [{"role": "system", "content": "later"}]


def test_a_turn_that_says_nothing_here_is_an_empty_text() -> None:
    thought = said({"type": "thinking", "thinking": "x", "signature": "s"}, role="assistant")

    assert body(OPENAI, messages=[thought, *SAID])["messages"][0] == {"role": "assistant", "content": ""}
    assert turns(said({**CALL, "caller": {"type": "direct"}}, role="assistant"))[0]["content"] is None


def test_a_format_may_have_a_name() -> None:
    sent = body(output_config={"format": {**SCHEMA, "name": "mine"}})

    assert sent["response_format"]["json_schema"]["name"] == "mine"


def test_text_images_and_documents_are_parts() -> None:
    url = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    plain = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}

    [message] = turns({"role": "user", "content": [{"type": "text", "text": "look"}, PNG, url, plain, pdf]})

    assert message["content"] == [
        {"type": "text", "text": "look"},
        PNG_PART,
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "text", "text": "T"},
        {"type": "text", "text": "D"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]


def test_tool_calls_and_their_results_are_messages_of_their_own() -> None:
    turn = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}, PNG]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "broken", "is_error": True},
        {"type": "text", "text": "go on"},
    ]

    assert turns({"role": "assistant", "content": turn}, {"role": "user", "content": results}) == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}},
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
            "reasoning_content": "Hm.",
            "reasoning": "Hm.",
        },
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: broken"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Returned by tool call t1:"},
                PNG_PART,
                {"type": "text", "text": "go on"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"mcp_servers": []}, "mcp_servers: chat completions cannot carry this"),
        ({"container": "c"}, "container: chat completions cannot carry this"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools.0.type: web_search_20250305 is",
        ),
        ({"tools": [{"name": "f", "input_examples": []}]}, "tools.0.input_examples: chat completions cannot"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type: chat completions cannot carry maybe"),
        ({"messages": [*SAID, {"role": "assistant", "content": "{"}]}, "messages.1: chat completions cannot go on"),
        ({"messages": [{"role": "user", "content": [{"type": "search_result"}]}]}, "messages.0.content.0.type: chat"),
        (
            {"messages": [{"role": "user", "content": [{**PNG, "source": {"type": "file", "file_id": "f"}}]}]},
            "messages.0.content.0.source.type: chat completions cannot carry a source of type file",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "citations": {"enabled": True},
                                "source": {"type": "text", "media_type": "text/plain", "data": "D"},
                            }
                        ],
                    }
                ]
            },
            "messages.0.content.0.citations: chat completions cannot cite documents",
        ),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": "x"}, "messages: Input should be of another type"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"system": 3}, "system: Input should be of another type"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type: chat completions cannot"),
        ({"output_config": {"format": {**SCHEMA, "grammar": "x"}}}, "output_config.format.grammar: chat completions"),
        ({"output_config": {"format": SCHEMA}, "output_format": SCHEMA}, "output_format: output_config.format says"),
        ({"thinking": {"type": "enabled", "display": "loud"}}, "thinking.display: Input should be"),
        (
            {"messages": [said({**PNG, "source": {**PNG["source"], "crop": 1}})]},
            "messages.0.content.0.source.crop: chat completions cannot",
        ),
        (
            {"messages": [said({"type": "document", "source": {"type": "text", "data": "D", "lines": 3}})]},
            "messages.0.content.0.source.lines: chat completions cannot",
        ),
        (
            {"messages": [said({"type": "thinking", "thinking": "x", "secret": 1}, role="assistant"), *SAID]},
            "messages.0.content.0.secret: chat completions cannot",
        ),
        (
            {"messages": [said({**CALL, "caller": {"type": "code_execution_20250825"}}, role="assistant"), *SAID]},
            "messages.0.content.0.caller.type: chat completions have no tools",
        ),
        (
            {"messages": [said({**CALL, "input": [1]}, role="assistant"), *SAID]},
            "messages.0.content.0.input: Input should be an object",
        ),
        (
            {"messages": [said({"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "t"})]},
            "messages.0.content.1: tool_result blocks must come before",
        ),
        ({"thinking": {"type": "between_tools"}}, "thinking.type: chat completions cannot carry between_tools"),
    ],
)
def test_what_cannot_be_carried_is_named(members: dict[str, Any], told: str) -> None:
    assert refused(**members).startswith(told)


def asked(**members: Any) -> Asked | str:
    params = {"model": "m", "max_tokens": 5, "messages": SAID, **members}
    translated = translate(json.dumps(params).encode(), LOCAL)
    return translated.asked if isinstance(translated, Translated) else translated.message


def test_what_the_answer_is_read_with_is_settled_before_the_call() -> None:
    assert asked(stop_sequences=["a", "b"]) == Asked("m", frozenset({"a", "b"}))
    assert asked(stop_sequences=None) == asked(stop_sequences=[]) == asked() == Asked("m")
    assert asked(stop_sequences="END") == "stop_sequences: Input should be of another type"
    assert asked(stop_sequences=["a", 1]) == "stop_sequences: Input should be of another type"
    assert asked(thinking={"type": "adaptive", "display": "omitted"}) == Asked("m", shows_thinking=False)
    assert asked(model=5) == "params.model: Input should be text"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"m\xff","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}',
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"\xff":1}}]}',
        b'{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"x":"\xff"}}]},{"role":"user","content":"hi"}]}',
    ],
)
def test_bytes_that_are_no_text_are_refused_wherever_they_stand(raw: bytes) -> None:
    assert translate(raw, LOCAL) == RequestError("invalid_request_error", "params: Input should be UTF-8")


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_bytes_are_too_odd(raw: bytes) -> None:
    assert isinstance(translate(raw, LOCAL), Translated | RequestError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "source"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "system", "tools", "thinking", "metadata"]), json_values))
def test_no_members_are_too_odd(members: dict[str, Any]) -> None:
    assert isinstance(translate(json.dumps({"max_tokens": 1} | members).encode(), OPENAI), Translated | RequestError)
