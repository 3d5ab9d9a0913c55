"""What was used and what it costs, as a Batchyard server counts it."""

from datetime import date
from typing import Annotated, Any

import typer

from batchyard.cli.batches import call
from batchyard.cli.options import DEFAULT_URL, ApiKey, AsJson, BaseUrl, server
from batchyard.cli.screen import put, say, table

From = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day (UTC), such as 2026-01-31.")]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day; today without it.")]
ByBatch = Annotated[bool, typer.Option("--by-batch", help="A row for each batch.")]
All = Annotated[bool, typer.Option("--all", help="Of all workspaces; needs the scope admin.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def usage(
    first: From = None,
    last: To = None,
    by_batch: ByBatch = False,
    all_: All = False,
    csv: AsCsv = False,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """Show tokens and their cost at the standard and at the batch price, by day and model: of 30 days, or those named.

    \b
    Example:
      $ batchyard usage --from 2026-03-01 --csv
    """
    import msgspec

    url, key = server(base_url, api_key)
    asked = {"from": first, "to": last, "by": "batch" if by_batch else None, "format": "csv" if csv else None}
    query = {name: value for name, value in asked.items() if value is not None}
    raw = call(url, key, lambda api: api.beside("GET", "/usage/all" if all_ else "/usage", query=query))
    if csv:
        put(raw.removesuffix(b"\r\n"))
        return 0
    told = msgspec.json.decode(raw)
    if json:
        for row in told["data"]:
            put(msgspec.json.encode(row))
        return 0
    head = ["day", *(["workspace"] if all_ else []), "model", *(["batch"] if by_batch else [])]
    head += ["requests", "tokens in", "cached", "out", "standard", "batch price"]
    table(head, [_row(row, by_batch=by_batch, all_=all_) for row in told["data"]])
    _sum_up(told)
    return 0


def _row(row: dict[str, Any], *, by_batch: bool, all_: bool) -> list[str]:
    batch = [row["batch"] or "(deleted)"] if by_batch else []
    numbers = (row["requests"], row["input_tokens"], row["cache_read_tokens"], row["output_tokens"])
    prices = (row["standard_cost"], row["batch_cost"])
    owner = [row["workspace"]] if all_ else []
    return [row["day"], *owner, row["model"], *batch, *(f"{number:,}" for number in numbers), *map(_dollars, prices)]


def _sum_up(told: dict[str, Any]) -> None:
    total = told["total"]
    first, last = (date.fromisoformat(told[end]) for end in ("from", "to"))
    say(
        f"{first} to {last}: {total['requests']:,} answers, {_dollars(total['standard_cost'])} at the standard price, "
        f"{_dollars(total['batch_cost'])} at the batch price"
    )
    if total["unpriced_requests"]:
        say(f"{total['unpriced_requests']:,} answers are of models without a known price: set [prices] on the server")


def _dollars(amount: float | None) -> str:
    if amount is None:
        return "unknown"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
