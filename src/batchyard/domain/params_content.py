"""The shapes of messages and of the blocks in them, by API version, role and beta."""

from batchyard.domain import params_tables as tables
from batchyard.domain.shapes import (
    Check,
    anything,
    each,
    flag,
    mapping,
    nullable,
    one_of,
    record,
    refused,
    tagged,
    text,
    text_or,
    whole,
)

CACHE_CONTROL: Check = nullable(record({"type": one_of("ephemeral")}, {"ttl": nullable(one_of("5m", "1h"))}))
CITATIONS: Check = nullable(record({}, {"enabled": flag}))

OPEN: Check = record({"type": anything}, {"cache_control": CACHE_CONTROL}, extra=anything)
"""A block or tool of a beta: its inside is the service's to judge."""

_WORDS = text()
_NAMED = text(least=1)
_COUNT = whole(least=0)
_IDENTIFIER = text(pattern=r"^[a-zA-Z0-9_-]+$")
_CACHED = {"cache_control": CACHE_CONTROL}
_TITLE = nullable(text())

_CALLER = tagged(
    {
        "direct": record({"type": anything}),
        "code_execution_20250825": record({"type": anything, "tool_id": _WORDS}),
        "code_execution_20260120": record({"type": anything, "tool_id": _WORDS}),
        "code_execution_20260521": record({"type": anything, "tool_id": _WORDS}),
    }
)


def _located(start: str, end: str) -> Check:
    needed = {"type": anything, "cited_text": _WORDS, "document_index": _COUNT, start: _COUNT, end: _COUNT}
    return record(needed, {"document_title": _TITLE, "file_id": _TITLE})


_CITATION = tagged(
    {
        "char_location": _located("start_char_index", "end_char_index"),
        "page_location": _located("start_page_number", "end_page_number"),
        "content_block_location": _located("start_block_index", "end_block_index"),
        "web_search_result_location": record(
            {"type": anything, "cited_text": _WORDS, "encrypted_index": _WORDS, "url": _WORDS}, {"title": _TITLE}
        ),
        "search_result_location": record(
            {
                "type": anything,
                "cited_text": _WORDS,
                "search_result_index": _COUNT,
                "source": _WORDS,
                "start_block_index": _COUNT,
                "end_block_index": _COUNT,
            },
            {"title": _TITLE},
        ),
    }
)


def _no_citations(value: object) -> str | None:
    return None if value is None or value == [] else ": citations are not allowed in text blocks of user messages"


def _text_block(citations: Check) -> Check:
    return record({"type": anything, "text": _NAMED}, {"citations": citations, **_CACHED})


_URL_OR_FILE = {
    "url": record({"type": anything, "url": _WORDS}),
    "file": record({"type": anything, "file_id": _WORDS}),
}
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
IMAGE: Check = record(
    {
        "type": anything,
        "source": tagged(
            {
                "base64": record({"type": anything, "media_type": one_of(*_IMAGE_TYPES), "data": _WORDS}),
                **_URL_OR_FILE,
            }
        ),
    },
    {"transformations": nullable(record({}, {"oversized_image": one_of("downsize", "error")})), **_CACHED},
)


def _document(text_block: Check) -> Check:
    source = tagged(
        {
            "base64": record({"type": anything, "media_type": one_of("application/pdf"), "data": _WORDS}),
            "text": record({"type": anything, "media_type": one_of("text/plain"), "data": _WORDS}),
            "content": record(
                {"type": anything, "content": text_or(each(tagged({"text": text_block, "image": IMAGE})))}
            ),
            **_URL_OR_FILE,
        }
    )
    optional = {"title": nullable(text(least=1, most=500)), "context": nullable(_NAMED), "citations": CITATIONS}
    return record({"type": anything, "source": source}, {**optional, **_CACHED})


def _search_result(text_block: Check) -> Check:
    content = each(tagged({"text": text_block}))
    needed = {"type": anything, "source": _WORDS, "title": _WORDS, "content": content}
    return record(needed, {"citations": CITATIONS, **_CACHED})


def _tool_result(text_block: Check) -> Check:
    content = {
        "text": text_block,
        "image": IMAGE,
        "search_result": _search_result(text_block),
        "document": _document(text_block),
        "tool_reference": record({"type": anything, "tool_name": _WORDS}, _CACHED),
        "browser_state": mapping,
    }
    optional = {"content": nullable(text_or(each(tagged(content)))), "is_error": nullable(flag)}
    needed = {"type": anything, "tool_use_id": _IDENTIFIER}
    return record(needed, {**optional, "toolset_name": _TITLE, **_CACHED})


_TOOL_USE = record(
    {"type": anything, "id": _IDENTIFIER, "name": text(least=1, most=200), "input": mapping},
    {"caller": nullable(_CALLER), "toolset_name": _TITLE, **_CACHED},
)
_SERVER_TOOL_USE = record(
    {
        "type": anything,
        "id": text(pattern=r"^srvtoolu_[a-zA-Z0-9_]+$"),
        "name": one_of(
            "web_search",
            "web_fetch",
            "code_execution",
            "bash_code_execution",
            "text_editor_code_execution",
            "tool_search_tool_regex",
            "tool_search_tool_bm25",
        ),
        "input": mapping,
    },
    {"caller": nullable(_CALLER), **_CACHED},
)
# What the service's own tools answered comes back as it was sent: its inside is the service's to judge.
_SERVER_TOOL_RESULT = record(
    {"type": anything, "tool_use_id": _WORDS, "content": anything}, {"caller": nullable(_CALLER), **_CACHED}
)
_ASSISTANT_ONLY: dict[str, Check] = {
    "thinking": record({"type": anything, "thinking": _WORDS, "signature": _WORDS}),
    "redacted_thinking": record({"type": anything, "data": _WORDS}),
    "tool_use": _TOOL_USE,
    "server_tool_use": _SERVER_TOOL_USE,
}
_SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
)


SYSTEM: Check = text_or(each(tagged({"text": _text_block(nullable(each(_CITATION)))})))
"""The top-level ``system``."""


def messages(granted: frozenset[str], *, oldest: bool) -> Check:
    """Return the check of ``messages``; ``oldest`` is the API version that tolerates more."""
    cited = _text_block(nullable(each(_CITATION)))
    plain = cited if oldest else _text_block(_no_citations)
    beta_blocks = dict.fromkeys(tables.opened(tables.BLOCKS, granted), OPEN)
    shared: dict[str, Check] = {
        "image": IMAGE,
        "container_upload": record({"type": anything, "file_id": _WORDS}, _CACHED),
        **dict.fromkeys(_SERVER_RESULTS, _SERVER_TOOL_RESULT),
        **beta_blocks,
    }
    user: dict[str, Check] = {
        "text": plain,
        "document": _document(plain),
        "search_result": _search_result(plain),
        "tool_result": _tool_result(plain),
        **shared,
        **{name: refused(f"`{name}` blocks can only be in `assistant` messages") for name in _ASSISTANT_ONLY},
    }
    assistant: dict[str, Check] = {
        "text": cited,
        **_ASSISTANT_ONLY,
        "document": _document(cited) if oldest else refused("`document` blocks can only be in `user` messages"),
        "search_result": _search_result(cited),
        "tool_result": refused("`tool_result` blocks can only be in `user` messages"),
        **shared,
    }
    system = {"text": plain, **beta_blocks}
    turn = tagged(
        {
            "user": _turn(user),
            "assistant": _turn(assistant),
            "system": _turn(system, extra=anything if tables.SYSTEM_MESSAGES in granted else None),
        },
        tag="role",
        brief=True,
    )
    return each(turn, least=1, most=100_000, empty="at least one message is required")


def _turn(blocks: dict[str, Check], *, extra: Check | None = None) -> Check:
    return record({"role": anything, "content": text_or(each(tagged(blocks)))}, extra=extra)
