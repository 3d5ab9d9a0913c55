"""What this server is, for clients that must know: ``GET /batchyard/v1/server``."""

import msgspec

from batchyard import __version__
from batchyard.web.calls import Answer, ApiCall

IDEMPOTENCY_KEY_SECONDS = 86_400
"""How long the key of a create is known, as ``docs/wire.md`` promises."""


async def about(_: ApiCall) -> Answer:
    """Return the name, the version, and for how long an ``Idempotency-Key`` is known."""
    told = {"name": "batchyard", "version": __version__, "idempotency_key_seconds": IDEMPOTENCY_KEY_SECONDS}
    return Answer(msgspec.json.encode(told))
