"""Webhooks, beside the wire: who is told, what became of it, and a test. For keys with the scope ``admin``.

``GET /batchyard/v1/webhooks``, ``GET …/{name}/deliveries?limit=``, ``POST …/{name}/test``. No secret and no URL is
shown: an URL of a receiver often is a secret itself.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.hooks import Hook, Notice
from batchyard.ports import Told, Webhooks
from batchyard.web.calls import Answer, ApiCall
from batchyard.wire import timestamp

USUAL_LIMIT = 50
MOST = 1000


class NoWebhooks:
    """Implements ``Webhooks`` for a server that has none."""

    def hooks(self) -> Sequence[Hook]:
        return ()

    async def log(self, hook: str, limit: int) -> Sequence[Told]:  # noqa: ARG002  (none is known)
        raise NotFound(f"There is no webhook {hook!r} in the settings.")

    async def test(self, hook: str) -> Notice:
        raise NotFound(f"There is no webhook {hook!r} in the settings.")


class WebhookCalls:
    """Implements the paths."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.all = webhooks

    async def listing(self, _: ApiCall) -> Answer:
        """Return every webhook with its last delivery."""
        data = []
        for hook in self.all.hooks():
            last = await self.all.log(hook.name, 1)
            data.append(
                {
                    "name": hook.name,
                    "events": sorted(kind.value for kind in hook.kinds),
                    "workspaces": sorted(hook.workspaces),
                    "last": _shown(last[0]) if last else None,
                }
            )
        return Answer(msgspec.json.encode({"data": data}))

    async def deliveries(self, call: ApiCall, name: str) -> Answer:
        """Return the newest deliveries of a webhook, newest first."""
        text = call.query("limit") or str(USUAL_LIMIT)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST):
            raise InvalidRequest(f"limit: must be a number from 1 to {MOST}.")
        told = await self.all.log(name, int(text))
        return Answer(msgspec.json.encode({"data": [_shown(one) for one in told]}))

    async def test(self, _: ApiCall, name: str) -> Answer:
        """Have a test sent; the log says what became of it."""
        notice = await self.all.test(name)
        return Answer(msgspec.json.encode({"id": notice.id, "webhook": name, "type": notice.kind.value}))


def _perhaps(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def _shown(told: Told) -> dict[str, object]:
    return {
        "id": told.id,
        "webhook": told.hook,
        "type": told.kind,
        "state": told.state.value,
        "tries": told.tries,
        "created_at": timestamp(told.created_at),
        "tried_at": _perhaps(told.tried_at),
        "again_at": _perhaps(told.again_at),
        "status": told.status,
        "reason": told.reason,
    }
