"""Citations of the documents and search results that ask for them: the beginning of each, at its right place."""

from collections.abc import Iterator
from typing import Any

from batchyard.domain.params_turns import blocks

Block = dict[str, Any]

CITED_CHARACTERS = 120
PDF_TEXT = "(page 1; the simulator reads no text of a PDF)"


def cite(members: dict[str, Any]) -> list[Block]:
    """Return one text block with its citation for each source of the messages that has citations enabled."""
    return [
        {"type": "text", "text": f" It begins: {citation['cited_text']}", "citations": [citation]}
        for citation in _citations(members)
    ]


def _citations(members: dict[str, Any]) -> Iterator[Block]:
    documents = results = 0
    for path, block in blocks(members):
        if not path.startswith("messages"):
            continue
        enabled = (block.get("citations") or {}).get("enabled") if isinstance(block.get("citations"), dict) else False
        if block.get("type") == "document":
            located = _located(block["source"]) if enabled else None
            if located is not None:
                about = {"document_index": documents, "document_title": block.get("title"), "file_id": None}
                yield {**located, **about}
            documents += 1
        elif block.get("type") == "search_result":
            if enabled and block["content"]:
                yield _found(block, results)
            results += 1


def _located(source: Block) -> Block | None:
    match source["type"]:
        case "text" if source["data"].strip():
            cited = source["data"][:CITED_CHARACTERS]
            place = {"start_char_index": 0, "end_char_index": len(cited)}
            return {"type": "char_location", "cited_text": cited, **place}
        case "base64":
            return {"type": "page_location", "cited_text": PDF_TEXT, "start_page_number": 1, "end_page_number": 2}
        case "content":
            inner = source["content"]
            parts = [{"type": "text", "text": inner}] if isinstance(inner, str) else inner
            nth, cited = next(((at, part["text"]) for at, part in enumerate(parts) if part["type"] == "text"), (0, ""))
            place = {"start_block_index": nth, "end_block_index": nth + 1}
            return {"type": "content_block_location", "cited_text": cited, **place} if cited else None
    return None


def _found(block: Block, nth: int) -> Block:
    return {
        "type": "search_result_location",
        "cited_text": block["content"][0]["text"],
        "search_result_index": nth,
        "source": block["source"],
        "title": block["title"],
        "start_block_index": 0,
        "end_block_index": 1,
    }
