"""What a shell may complete beside commands and options: the ids of the batches that the server has."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from batchyard.client.replies import Page

MOST = 100
SECONDS = 2.0
"""How long somebody waits after pressing a key."""


def known_batches(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the newest batches with what they are. Without an answer in time there is nothing to complete."""
    from batchyard.cli.options import DEFAULT_URL, server
    from batchyard.cli.screen import counted
    from batchyard.client.errors import ServerError
    from batchyard.declared import ConfigError

    try:
        url, key = server(context.params.get("base_url") or DEFAULT_URL, context.params.get("api_key"))
        page = _newest(url, key)
    except (ConfigError, ServerError, OSError):  # whoever completes a word is told nothing else
        return []
    given = context.params.get("batches") or ()
    return [
        (batch.id, f"{batch.processing_status}, {counted(batch.request_counts)}")
        for batch in page.batches
        if batch.id.startswith(incomplete) and batch.id not in given
    ]


def _newest(url: str, key: str) -> "Page":
    import asyncio

    from batchyard.client.api import Api
    from batchyard.client.patience import Patience

    async def go() -> "Page":
        async with asyncio.timeout(SECONDS), Api(url, key, patience=Patience(tries=0, seconds=0)) as api:
            return await api.page(limit=MOST)

    return asyncio.run(go())
