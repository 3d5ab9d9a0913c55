"""The webhooks that the settings name, with their outbox and their way out."""

import random
from urllib.parse import urlsplit

from batchyard.app.kept import Kept
from batchyard.dispatch.herald import Herald
from batchyard.domain.events import Emit, Event
from batchyard.domain.hooks import Hook, Kind
from batchyard.ports import Outbox
from batchyard.settings import Settings


class Telling:
    """The herald and what it uses; a server without webhooks has none of it."""

    def __init__(self, settings: Settings, kept: Kept, emit: Emit) -> None:
        hooks = [
            Hook(one.name, frozenset(map(Kind, one.events)), frozenset(one.workspaces), _address(one.url))
            for one in settings.webhooks
        ]
        self.herald: Herald | None = None
        if not hooks:
            return
        from batchyard.upstream.webhooks import Target, WebhookPost  # noqa: PLC0415 a quarter of a start without it

        self._outbox: Outbox = kept.outbox()
        self._post = WebhookPost(
            {one.name: Target(one.url, one.secret, private=one.allow_private) for one in settings.webhooks}
        )
        self.herald = Herald(
            hooks, kept.store, self._outbox, self._post, clock=kept.clock, emit=emit, jitter=random.random
        )

    async def run(self) -> None:
        """Tell what is to be told, until cancelled."""
        if self.herald is not None:
            await self.herald.run()

    def hear(self, event: Event) -> None:
        """Learn of an event: something may be due to be told."""
        if self.herald is not None:
            self.herald.hear(event)

    async def close(self) -> None:
        """Cut what is under way: it is tried again by whoever comes next."""
        if self.herald is None:
            return
        await self._post.close()
        await self._outbox.close()


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
