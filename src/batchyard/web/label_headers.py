"""The name and labels of a batch as headers of its create: ``batchyard-name``, ``batchyard-labels``."""

from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers

from batchyard.domain.errors import InvalidRequest
from batchyard.domain.labels import Labels

NAME, LABELS = "batchyard-name", "batchyard-labels"


def labels(headers: Headers) -> Labels:
    """Return what the headers say. ``batchyard-labels`` is ``key=value`` pairs, set apart by commas.

    Both are UTF-8; percent-encoding is undone, so that a value may have a comma.
    """
    pairs: dict[str, str] = {}
    for line in headers.getlist(LABELS):
        for pair in filter(None, (part.strip() for part in line.split(","))):
            key, equals, value = pair.partition("=")
            if not equals:
                raise InvalidRequest(f"{LABELS}: write key=value, set apart by commas.")
            if key.strip() in pairs:
                raise InvalidRequest(f"{LABELS}: the key {key.strip()[:80]!r} is there twice.")
            pairs[key.strip()] = _text(LABELS, value.strip())
    found = Labels(_text(NAME, headers.get(NAME, "").strip()), tuple(sorted(pairs.items())))
    found.check()
    return found


def _text(header: str, raw: str) -> str:
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{header}: must be UTF-8, percent-encoded or as it is.") from None
