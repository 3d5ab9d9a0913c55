"""What came with a request beside text: images and PDF documents, looked at as far as their headers go.

Nothing is fetched: a source that is a URL cannot be downloaded here, and there are no uploaded files.
"""

import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchyard.domain.params_turns import blocks
from batchyard.upstream.simulated_images import measure
from batchyard.upstream.simulated_markers import CannotSimulate
from batchyard.upstream.simulated_tokens import PAGE_TOKENS, PIXELS_A_TOKEN

Block = dict[str, Any]

NO_DOWNLOAD = "Unable to download the file. Please verify the URL and try again."
_PAGE = re.compile(rb"/Type\s{0,20}/Page(?![A-Za-z])")
_COMPRESSED = re.compile(rb"/ObjStm\b[^>]{0,200}>>\s{0,4}stream\r?\n")
_MOST_STREAMS = 200
_MOST_UNPACKED = 4 << 20


@dataclass(frozen=True, slots=True)
class Attachment:
    """One image or PDF: what to say of it, and what it costs. ``block`` is the identity of its block."""

    block: int
    told: str
    tokens: int
    is_pdf: bool


def read_attachments(members: dict[str, Any]) -> list[Attachment]:
    """Return what came with the request, in order; raises ``CannotSimulate`` for what cannot be read."""
    if all(isinstance(message["content"], str) for message in members["messages"]):
        return []
    return [attachment for path, block in _sources(members) if (attachment := _read(path, block)) is not None]


def _sources(members: dict[str, Any]) -> Iterator[tuple[str, Block]]:
    for path, block in blocks(members):
        kind = block.get("type")
        if kind in ("image", "document", "container_upload"):
            yield path, block
        source = block.get("source") if kind == "document" else None
        inner = source.get("content") if isinstance(source, dict) else None
        for place, part in enumerate(inner if isinstance(inner, list) else []):
            if part["type"] == "image":
                yield f"{path}.source.content.{place}", part


def _read(path: str, block: Block) -> Attachment | None:
    source = block.get("source") or {"type": "file", "file_id": block.get("file_id")}
    match source["type"]:
        case "url":
            raise CannotSimulate(NO_DOWNLOAD)
        case "file":
            raise CannotSimulate(f"File not found: {str(source['file_id'])[:100]}", kind="not_found_error")
        case "base64":
            data = _decode(f"{path}.source.data", source["data"])
            return _pdf(path, block, data) if block["type"] == "document" else _image(path, block, data)
    return None


def _decode(path: str, data: str) -> bytes:
    try:
        decoded = binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        decoded = b""
    if not decoded:
        raise CannotSimulate(f"{path}: invalid base64 data")
    return decoded


def _image(path: str, block: Block, data: bytes) -> Attachment:
    measured = measure(data)
    if measured is None:
        raise CannotSimulate(f"{path}.source.data: Could not process image")
    kind, width, height = measured
    named = block["source"]["media_type"]
    if kind != named:
        raise CannotSimulate(
            f"{path}.source.media_type: The image was specified using the {named} media type, but the image appears to "
            f"be a {kind} image"
        )
    told = f"an image ({kind}, {width} × {height} pixels, {len(data):,} bytes)"
    return Attachment(id(block), told, -(-width * height // PIXELS_A_TOKEN), is_pdf=False)


def _pdf(path: str, block: Block, data: bytes) -> Attachment:
    if b"%PDF-" not in data[:1024]:
        raise CannotSimulate(f"{path}.source.data: The PDF specified was not valid.")
    pages = count_pages(data)
    told = f"a PDF document ({pages} page{'' if pages == 1 else 's'}, {len(data):,} bytes)"
    return Attachment(id(block), told, pages * PAGE_TOKENS, is_pdf=True)


def count_pages(data: bytes) -> int:
    """Return how many pages the PDF has, at least one, also where they are in compressed object streams."""
    pages = len(_PAGE.findall(data))
    left = _MOST_UNPACKED
    for _, packed in zip(range(_MOST_STREAMS), _COMPRESSED.finditer(data), strict=False):
        try:
            unpacked = zlib.decompressobj().decompress(data[packed.end() : packed.end() + left], max(left, 1))
        except zlib.error:
            continue  # another filter: its pages stay unseen
        pages += len(_PAGE.findall(unpacked))
        left -= len(unpacked)
        if left <= 0:
            break
    return max(pages, 1)
