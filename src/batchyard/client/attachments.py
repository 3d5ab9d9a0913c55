"""Files that go with a prompt: images, PDFs and plain text, known by what is in them."""

import base64
from pathlib import Path
from typing import Any

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
TEXTS = (".txt", ".md", ".csv")


def attached(path: Path) -> dict[str, Any]:
    """Return the content block of a file; ``ValueError`` if it cannot be read, or is of no kind that can be sent."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise ValueError(f"attachment {path}: cannot be read: {problem.strerror}") from None
    if content.startswith(b"%PDF-"):
        return {"type": "document", "source": _base64(content, "application/pdf"), "title": path.name[:500]}
    for magic, media_type in _IMAGES:
        if content.startswith(magic):
            return {"type": "image", "source": _base64(content, media_type)}
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return {"type": "image", "source": _base64(content, "image/webp")}
    if path.suffix.lower() in TEXTS:
        return {"type": "document", "source": _text(path, content), "title": path.name[:500]}
    raise ValueError(f"attachment {path}: is no PNG, JPEG, GIF, WebP or PDF, and its name does not end in {_or(TEXTS)}")


def _base64(content: bytes, media_type: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(content).decode()}


def _text(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return {"type": "text", "media_type": "text/plain", "data": content.decode("utf-8-sig")}
    except UnicodeDecodeError:
        raise ValueError(f"attachment {path}: is not UTF-8") from None


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
