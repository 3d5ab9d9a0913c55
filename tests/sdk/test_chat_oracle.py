"""Our translation to chat completions and back, compared with one that others wrote: any-llm's.

Where the two differ on purpose, the difference is a function below that says why and takes it away on both sides;
what is left must be the same. A difference that no case shows any more is one too many, and fails.
"""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchyard.domain.outcome import Answered
from batchyard.upstream.chat_answer import Asked, judge_completion
from batchyard.upstream.chat_dialect import Dialect
from batchyard.upstream.chat_request import Translated, translate
from tests.sdk import tools

SCRIPT = Path(__file__).with_name("chat_oracle.py")
Json = dict[str, Any]
Difference = Callable[[Json, Json], None]
"""Takes ours and theirs, and makes them alike in one respect."""

# --- the corpus

TEXT = {"type": "text", "text": "One."}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
PLAIN = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
CACHED = {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}}
TOOL = {"name": "f", "description": "Does f.", "input_schema": {"type": "object", "properties": {"n": {}}}}
USES = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {"n": n, "s": "ü\n"}} for n in (1, 2)]
RESULTS: list[Json] = [
    {"type": "tool_result", "tool_use_id": "t1", "content": "fine"},
    {"type": "tool_result", "tool_use_id": "t2", "content": [TEXT, PNG], "is_error": True},
]
TURNS: list[list[Json]] = [
    [],
    [{"role": "user", "content": [TEXT]}],
    [{"role": "user", "content": [TEXT, PNG, LINK]}, {"role": "assistant", "content": "Seen."}],
    [{"role": "user", "content": [TEXT, CACHED]}, {"role": "assistant", "content": [TEXT, CACHED]}],
    [
        {"role": "user", "content": "Do f."},
        {"role": "assistant", "content": USES},
        {"role": "user", "content": RESULTS},
    ],
    [
        {"role": "user", "content": "Think."},
        {"role": "assistant", "content": [THOUGHT, TEXT, USES[0]]},
        {"role": "user", "content": [{**RESULTS[0], "content": [TEXT, CACHED]}, CACHED]},
    ],
    [
        {"role": "user", "content": "Think twice."},
        {"role": "assistant", "content": [THOUGHT, THOUGHT, USES[1]]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "is_error": True}]},
    ],
    [{"role": "user", "content": [PLAIN]}],
]
MEMBERS: dict[str, list[Any]] = {
    "system": ["Be brief.", [TEXT], [TEXT, CACHED]],
    "temperature": [0, 0.5, 1.0],
    "top_p": [0.9],
    "top_k": [4],
    "stop_sequences": [["END"], ["a", "b"], []],
    "metadata": [{"user_id": "u1"}],
    "service_tier": ["auto", "standard_only"],
    "tools": [[TOOL], [{"name": "g", "input_schema": {"type": "object"}, "strict": True}, TOOL]],
    "tool_choice": [
        {"type": "auto"},
        {"type": "any", "disable_parallel_tool_use": True},
        {"type": "auto", "disable_parallel_tool_use": False},
        {"type": "tool", "name": "f"},
        {"type": "none"},
    ],
    "thinking": [{"type": "enabled", "budget_tokens": 3000}, {"type": "adaptive"}, {"type": "disabled"}],
    "output_config": [
        {"effort": "low"},
        {"effort": "max"},
        {"format": {"type": "json_schema", "schema": {"type": "object", "title": "named"}}},
    ],
    "cache_control": [{"type": "ephemeral"}],
}


def requests() -> list[Json]:
    """Each member by itself, each turn, and two hundred mixtures of them, always the same."""
    end = {"role": "user", "content": "And now?"}
    plain: Json = {"model": "m", "max_tokens": 50}
    singles = [{**plain, "messages": [end], name: value} for name, values in MEMBERS.items() for value in values]
    chance = random.Random(7)
    mixed = []
    for _ in range(200):
        chosen = chance.sample(sorted(MEMBERS), chance.randint(0, 5))
        members = {name: chance.choice(MEMBERS[name]) for name in chosen}
        mixed.append({**plain, **members, "messages": [*chance.choice(TURNS), end]})
    return [*singles, *({**plain, "messages": [*turn, end]} for turn in TURNS), *mixed]


CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": json.dumps({"n": n})}}
    for n in (1, 2)
]
SAID: list[Json] = [
    {"content": "Hello."},
    {"content": None, "tool_calls": CALLS},
    {"content": "Let me see.", "tool_calls": CALLS[:1], "reasoning_content": "Hm."},
    {"content": "x", "reasoning": "Hm."},
    {"content": None, "refusal": "No."},
    {"content": "So far.", "refusal": "No further."},
    {"content": ""},
    {"content": None, "tool_calls": [{**CALLS[0], "function": {"name": "f", "arguments": ""}}]},
]
COUNTS: list[Json] = [
    {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
    {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 40},
    },
]


def completions() -> list[Json]:
    """Every way to say something, with every end that fits it and every way to count."""
    found = []
    for said in SAID:
        for finish in ("stop", "length", "content_filter", "tool_calls"):
            if finish == "tool_calls" and "tool_calls" not in said:
                continue
            for usage in COUNTS:
                message = {"role": "assistant", "refusal": None, **said}
                choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
                found.append({"id": "c1", "model": "m", "choices": [choice], "usage": usage})
    return found


# --- what differs in a request


def _texts(message: Json) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def names(ours: Json, theirs: Json) -> None:
    """any-llm has a name of its own for the model; what is sent is called as it is by us."""
    if "model_id" in theirs:
        theirs["model"] = theirs.pop("model_id")


def carried_by_us_alone(ours: Json, theirs: Json) -> None:
    """any-llm drops top_k and metadata.user_id; engines take the one as it is, everybody takes the other as user."""
    assert not {"top_k", "user"} & theirs.keys()
    for name in ("top_k", "user"):
        ours.pop(name, None)


def thinking(ours: Json, theirs: Json) -> None:
    """any-llm makes an effort of every thinking param; engines turn thinking on and off in the chat template."""
    if ours.pop("chat_template_kwargs", None) is not None and "reasoning_effort" not in ours:
        theirs.pop("reasoning_effort", None)
    if theirs.get("reasoning_effort") == "none":  # an effort beside thinking that is off: any-llm lets thinking win
        ours.pop("reasoning_effort", None)
        theirs.pop("reasoning_effort")


def efforts(ours: Json, theirs: Json) -> None:
    """Engines know no effort above high."""
    if theirs.get("reasoning_effort") in {"xhigh", "max"}:
        assert ours.get("reasoning_effort") == "high"
        theirs["reasoning_effort"] = "high"


def formats(ours: Json, theirs: Json) -> None:
    """We ask for the schema to be kept to, as the Messages API promises; the schema has no name there to take over."""
    if "response_format" in ours:
        assert ours["response_format"]["json_schema"].pop("strict") is True
        for side in (ours, theirs):
            assert side["response_format"]["json_schema"].pop("name")


def strict_and_undescribed_tools(ours: Json, theirs: Json) -> None:
    """any-llm gives a tool without a description an empty one, and drops ``strict``."""
    for our, their in zip(ours.get("tools", ()), theirs.get("tools", ()), strict=True):
        our["function"].pop("strict", None)
        if "description" not in our["function"]:
            assert their["function"].pop("description") == ""


def parallel(ours: Json, theirs: Json) -> None:
    """A false disable_parallel_tool_use is said by us, and left to the server by any-llm."""
    if ours.get("parallel_tool_calls") is True and "parallel_tool_calls" not in theirs:
        ours.pop("parallel_tool_calls")


def tiers(ours: Json, theirs: Json) -> None:
    """any-llm hands on the Messages API's names of tiers, which no chat server knows."""
    tier = theirs.pop("service_tier", None)
    assert ours.pop("service_tier", None) == {"standard_only": "default"}.get(tier or "")


def no_stops(ours: Json, theirs: Json) -> None:
    """An empty list of stop sequences is none; some servers refuse one."""
    if theirs.get("stop") == []:
        theirs.pop("stop")


def paragraphs(ours: Json, theirs: Json) -> None:
    """Blocks that must become one text are paragraphs to us; any-llm runs them together."""
    for side in (ours, theirs):
        for message in side["messages"]:
            for name in ("content", "reasoning_content"):
                if isinstance(message.get(name), str):
                    message[name] = message[name].replace("\n\n", "")


def thought_of_twice(ours: Json, theirs: Json) -> None:
    """Earlier thinking goes back under both names that servers read; any-llm knows the older one."""
    for message in ours["messages"]:
        assert message.pop("reasoning", None) == message.get("reasoning_content")


def lone_texts(ours: Json, theirs: Json) -> None:
    """A user's only text is text to us, not a list of one part: some chat templates take nothing else."""
    for message in theirs["messages"]:
        content = message.get("content")
        if isinstance(content, list) and [part.get("type") for part in content] == ["text"]:
            message["content"] = content[0]["text"]


def notes_on_images(ours: Json, theirs: Json) -> None:
    """We say which call an image came from: it stands in another message than the call's result."""
    for message in ours["messages"]:
        if isinstance(message.get("content"), list):
            message["content"] = [
                part for part in message["content"] if not part.get("text", "").startswith("Returned by tool call ")
            ]


def documents(ours: Json, theirs: Json) -> None:
    """any-llm hands a user's document on as a block, which no chat server knows; a plain one is text to us."""
    for message in theirs["messages"]:
        if isinstance(message.get("content"), list):
            message["content"] = [
                {"type": "text", "text": part["source"]["data"]} if part["type"] == "document" else part
                for part in message["content"]
            ]


def signatures(ours: Json, theirs: Json) -> None:
    """Signatures mean something to the server alone that made them; any-llm keeps them in a channel of its own."""
    for message in theirs["messages"]:
        message.pop("extra_content", None)


def blanks(ours: Json, theirs: Json) -> None:
    """Arguments are the client's bytes to us; any-llm writes them anew."""
    for side in (ours, theirs):
        for message in side["messages"]:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])


def wordless_errors(ours: Json, theirs: Json) -> None:
    """A tool that failed without a word is ``Error: `` to us and ``Error`` to any-llm."""
    for message in theirs["messages"]:
        if message["role"] == "tool" and message["content"] == "Error":
            message["content"] = "Error: "


REQUEST: list[Difference] = [
    names,
    carried_by_us_alone,
    thinking,
    thought_of_twice,
    efforts,
    formats,
    strict_and_undescribed_tools,
    parallel,
    tiers,
    no_stops,
    paragraphs,
    documents,
    notes_on_images,
    lone_texts,
    signatures,
    blanks,
    wordless_errors,
]

# --- what differs in an answer


def ids(ours: Json, theirs: Json) -> None:
    """any-llm keeps the completion's id; ours has the form that ids of Messages have."""
    assert ours["id"].startswith("msg_")
    ours["id"] = theirs["id"]


def always_there(ours: Json, theirs: Json) -> None:
    """Members that are null or zero are there in ours, as clients of the Messages API are used to."""
    assert [ours.pop(name) for name in ("stop_sequence", "container", "diagnostics")] == [None] * 3
    refused = {"type": "refusal", "category": None, "explanation": None}
    assert ours.pop("stop_details") == (refused if ours["stop_reason"] == "refusal" else None)
    usage = ours["usage"]
    for name in ("cache_creation", "output_tokens_details", "server_tool_use", "inference_geo", "speed"):
        assert usage.pop(name) is None
    assert usage.pop("service_tier") == "standard"
    assert usage.pop("cache_creation_input_tokens") == 0
    if usage["cache_read_input_tokens"] == 0 and "cache_read_input_tokens" not in theirs["usage"]:
        usage.pop("cache_read_input_tokens")
    for block in ours["content"]:
        if block["type"] == "text":
            assert block.pop("citations") is None


def nothing_said(ours: Json, theirs: Json) -> None:
    """An answer without a word has no block in ours; any-llm adds an empty text, which the API itself never gives."""
    if not ours["content"]:
        assert theirs["content"] == [{"type": "text", "text": ""}]
        theirs["content"] = []


def calls_that_end_with_stop(ours: Json, theirs: Json) -> None:
    """A server that says ``stop`` after a tool call that was asked for by name has ended for the call all the same."""
    if ours["stop_reason"] == "tool_use":
        assert theirs["stop_reason"] in {"tool_use", "end_turn"}
        theirs["stop_reason"] = "tool_use"


ANSWER: list[Difference] = [ids, always_there, nothing_said, calls_that_end_with_stop]

# --- the comparison


def their_answers(asked: list[Json]) -> list[Json]:
    python = tools.python_with("chat-oracle")
    ran = subprocess.run(
        [str(python), str(SCRIPT)],
        input="".join(json.dumps(one) + "\n" for one in asked),
        capture_output=True,
        text=True,
        timeout=120,
        env=tools.clean_environ(),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(asked)
    refused = [(one, answer) for one, answer in zip(asked, answers, strict=True) if "refused" in answer]
    assert refused == []
    return [answer["is"] for answer in answers]


def compare(pairs: list[tuple[Json, Json]], differences: list[Difference]) -> None:
    """Take the differences away one by one; each must change something somewhere, and leave nothing at the end."""
    shown = set()
    for ours, theirs in pairs:
        for difference in differences:
            before = json.dumps([ours, theirs])
            difference(ours, theirs)
            if json.dumps([ours, theirs]) != before:
                shown.add(difference.__name__)
        assert ours == theirs
    assert shown == {difference.__name__ for difference in differences}


@pytest.fixture(scope="module")
def theirs() -> tuple[list[Json], list[Json]]:
    asked = [{"params": params} for params in requests()] + [{"completion": one} for one in completions()]
    answers = their_answers(asked)
    return answers[: len(requests())], answers[len(requests()) :]


def test_requests_are_translated_alike(theirs: tuple[list[Json], list[Json]]) -> None:
    ours = []
    for params in requests():
        translated = translate(json.dumps(params).encode(), Dialect())
        assert isinstance(translated, Translated), translated
        ours.append(json.loads(translated.body))

    compare(list(zip(ours, theirs[0], strict=True)), REQUEST)


def test_answers_are_translated_alike(theirs: tuple[list[Json], list[Json]]) -> None:
    ours = []
    for completion in completions():
        answered = judge_completion(json.dumps(completion).encode(), Asked("m"), batched=False)
        assert isinstance(answered, Answered), answered
        ours.append(json.loads(answered.message))

    compare(list(zip(ours, theirs[1], strict=True)), ANSWER)
