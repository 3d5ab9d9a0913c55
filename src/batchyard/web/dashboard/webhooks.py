"""Webhooks: who is told of what, what became of each delivery, and a test.

The operator sees all of them. A workspace sees those that are told of its own batches alone: the log of another would
name batches of others.
"""

from batchyard.domain.errors import NotFound
from batchyard.domain.hooks import Hook
from batchyard.ports import Clock, Told, Webhooks
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Pages, Visit, query, seen_other

SHOWN = 50
"""Deliveries of the log, the newest first."""
LONGEST_NAME = 500
FIRST_LINES = """\
[webhooks.ops]
url = "https://hooks.example.com/batches"
secret_env = "OPS_HOOK_SECRET"
"""
FIRST_COMMAND = "export OPS_HOOK_SECRET=whsec_$(openssl rand -base64 32)"


class WebhookPages:
    """``/webhooks``, ``/webhooks/log`` and ``/webhooks/test``. A test is the operator's to send, as by the API."""

    def __init__(self, webhooks: Webhooks, clock: Clock, pages: Pages) -> None:
        self._webhooks, self._clock, self._pages = webhooks, clock, pages

    async def show(self, visit: Visit) -> Answer:
        """Show every webhook with its newest delivery."""
        rows = [(hook, await self._last(hook)) for hook in self._seen(visit)]
        template = "_webhooks.html" if visit.is_part else "webhooks.html"
        values = {"rows": rows, "now": self._clock.now(), "first_lines": FIRST_LINES, "first_command": FIRST_COMMAND}
        return self._pages.page(visit, template, values)

    async def log(self, visit: Visit) -> Answer:
        """Show the newest deliveries of one."""
        hook = self._known(visit, visit.query("webhook") or "")
        values = {
            "hook": hook,
            "log": await self._webhooks.log(hook.name, SHOWN),
            "most": SHOWN,
            "now": self._clock.now(),
            "is_own": visit.is_open or hook.workspaces == {visit.workspace},
            "was_sent": visit.query("done") == "test",
        }
        return self._pages.page(visit, "_webhook.html" if visit.is_part else "webhook.html", values)

    async def test(self, visit: Visit) -> Answer:
        """Have a test sent to the one that the form names; its log tells what becomes of it."""
        hook = self._known(visit, visit.form.get("webhook", ""))
        await self._webhooks.test(hook.name)
        return seen_other(visit, f"/webhooks/log?{query(webhook=hook.name, done='test')}")

    async def _last(self, hook: Hook) -> Told | None:
        return next(iter(await self._webhooks.log(hook.name, 1)), None)

    def _seen(self, visit: Visit) -> list[Hook]:
        hooks = sorted(self._webhooks.hooks(), key=lambda hook: hook.name)
        return [hook for hook in hooks if visit.may("admin") or hook.workspaces == {visit.workspace}]

    def _known(self, visit: Visit, name: str) -> Hook:
        for hook in self._seen(visit):
            if hook.name == name:
                return hook
        raise NotFound(f"There is no webhook {name[:LONGEST_NAME]!r} in the settings.")
