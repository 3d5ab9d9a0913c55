"""`batchyard webhooks`: who is told of batches, what became of it, and a test."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from batchyard.cli.batches import call
from batchyard.cli.options import DEFAULT_URL, ApiKey, AsJson, BaseUrl, server
from batchyard.cli.screen import put, say, table

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook in the settings.")]
HEAD = ("created", "type", "state", "tries", "last answer", "id")


def list_(base_url: BaseUrl = DEFAULT_URL, api_key: ApiKey = None, json: AsJson = False) -> int:
    """List the webhooks of a server and the newest delivery of each. Takes a key with the scope admin.

    \b
    Example:
      $ batchyard webhooks list
    """
    hooks = _ask(base_url, api_key, "GET", "")["data"]
    if json:
        _put(hooks)
        return 0
    rows = [(hook["name"], ", ".join(hook["events"]), ", ".join(hook["workspaces"]), _last(hook)) for hook in hooks]
    table(("webhook", "is told", "workspaces", "last"), rows)
    if not hooks:
        say("the server has no webhooks; docs/webhooks.md says how to set one up")
    return 0


def deliveries(
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many of the newest.")] = 50,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """List the newest deliveries of a webhook, the newest first. Exit status 1 if one of them has failed.

    \b
    Example:
      $ batchyard webhooks deliveries ops --limit 20
    """
    told = _ask(base_url, api_key, "GET", f"/{quote(name, safe='')}/deliveries", {"limit": str(limit)})["data"]
    if json:
        _put(told)
    else:
        table(HEAD, [_row(one) for one in told])
    return 1 if any(one["state"] == "failed" for one in told) else 0


def send_test(name: Name, base_url: BaseUrl = DEFAULT_URL, api_key: ApiKey = None, json: AsJson = False) -> int:
    """Have a test sent to a webhook. `batchyard webhooks deliveries` shows what became of it.

    \b
    Example:
      $ batchyard webhooks test ops
    """
    sent = _ask(base_url, api_key, "POST", f"/{quote(name, safe='')}/test")
    if json:
        _put([sent])
    else:
        say(f"a test goes out as {sent['id']}; `batchyard webhooks deliveries {name}` shows what becomes of it")
    return 0


def _ask(base_url: str, api_key: str | None, method: str, path: str, query: dict[str, str] | None = None) -> Any:
    import msgspec

    url, key = server(base_url, api_key)
    return msgspec.json.decode(call(url, key, lambda api: api.beside(method, f"/webhooks{path}", query=query)))


def _put(rows: list[Any]) -> None:
    import msgspec

    for row in rows:
        put(msgspec.json.encode(row))


def _last(hook: dict[str, Any]) -> str:
    last = hook["last"]
    return f"{last['type']}: {last['state']}" if last else "nothing yet"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    answer = " ".join(str(part) for part in (one["status"], one["reason"]) if part)
    return one["created_at"], one["type"], one["state"], str(one["tries"]), answer, one["id"]
