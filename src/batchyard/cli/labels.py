"""What people call batches, at a Batchyard server: names and labels, set and looked for."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from batchyard.cli.batches import call
from batchyard.cli.options import DEFAULT_URL, ApiKey, AsJson, BaseUrl, BatchId, BatchName, label_pair, server
from batchyard.cli.screen import put, say, table


def label(
    batch: BatchId,
    labels: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Labels to set.")] = None,
    name: BatchName = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="KEY", help="A label to remove; may be given again.")
    ] = None,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """Name and label one batch, whatever its status; print what it is called then.

    \b
    Example:
      $ batchyard label msgbatch_01NvtRm9PRkXkYGbXZV3sW4q --name nightly team=search run=42
    """
    import msgspec

    from batchyard.client.api import Fixed

    url, key = server(base_url, api_key)
    changes: dict[str, str | None] = dict(map(label_pair, labels or ()))
    changes |= dict.fromkeys(remove or ())
    body = Fixed(msgspec.json.encode({"name": name, "labels": changes}))
    path = f"/batches/{quote(batch, safe='')}/labels"
    told = msgspec.json.decode(call(url, key, lambda api: api.beside("POST", path, body=body)))
    if json:
        put(msgspec.json.encode({"id": batch, "name": told["name"], "labels": told["labels"]}))
    else:
        table(("name", "labels"), [(told["name"], _labels(told))])
    return 0


def search(
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Part of an id, a name or a label's value.")] = "",
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Those in_progress, canceling or ended.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY[=VALUE]", help="Those with this label.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Most batches to list.")] = 20,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """Find batches of a Batchyard server by name, label or status, newest first.

    \b
    Example:
      $ batchyard search nightly --label team=search --status ended
    """
    import msgspec

    url, key = server(base_url, api_key)
    query = [("limit", str(limit)), ("q", words), *(("label", text) for text in labels or ())]
    query += [("status", status)] if status else []
    told = msgspec.json.decode(call(url, key, lambda api: api.beside("GET", f"/batches?{urlencode(query)}")))
    if json:
        for one in told["data"]:
            put(msgspec.json.encode(one))
        return 0
    table(("batch", "status", "created", "requests", "name", "labels"), [_row(one) for one in told["data"]])
    if told["has_more"]:
        say(f"there are more than {limit}: name more of what you look for, or raise --limit")
    return 0


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    batch = told["batch"]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in batch["request_counts"].items() if count)
    created = batch["created_at"][:16].replace("T", " ")
    return batch["id"], batch["processing_status"], created, counts, told["name"], _labels(told)


def _labels(told: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in told["labels"].items())
