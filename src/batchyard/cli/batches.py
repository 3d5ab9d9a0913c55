"""One batch each: create, list, show, results, pause, resume. For people, and with --json for pipes."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from batchyard.cli import outlook
from batchyard.cli.bundles import Made, Server, taking
from batchyard.cli.loop import complete
from batchyard.cli.options import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    BaseUrl,
    BatchId,
    BatchLabels,
    BatchName,
    Force,
    Input,
    Output,
    label_headers,
    path_or_stdout,
    server,
)
from batchyard.cli.screen import counted, put, say, table

if TYPE_CHECKING:
    from batchyard.client.api import Api
    from batchyard.client.replies import MessageBatch

_T = TypeVar("_T")


@taking(server=Server, made=Made)
def create(
    input: Input,  # noqa: A002 - the word users know
    server: Server,
    made: Made,
    name: BatchName = None,
    labels: BatchLabels = None,
    json: AsJson = False,
) -> int:
    """Create one batch from INPUT and print its id.

    \b
    Example:
      $ batchyard create requests.jsonl
    """
    import uuid

    from batchyard.client.creates import create_once
    from batchyard.client.errors import WrongUse
    from batchyard.client.intakes import taken
    from batchyard.client.limits import Limits
    from batchyard.client.source import PartBody

    url, key = server.address
    headers = label_headers(name, labels)
    with taken(input, making=made.making(input), limits=Limits(), form=made.format) as intake:
        parts = intake.plan.parts
        if len(parts) > 1:
            raise WrongUse(f"{input} is too large for one batch: `batchyard run` splits it over {len(parts)}")
        body = PartBody(intake.lines, parts[0])
        once = f"batchyard-create-{uuid.uuid4().hex}"
        batch = call(url, key, lambda api: create_once(api, body, once, headers))
    put(batch.raw if json else batch.id.encode())
    say(f"created, with {intake.plan.requests:,} requests")
    return 0


def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Most batches to list.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="BATCH", help="List those older than this one.")] = None,
    before: Annotated[str | None, typer.Option(metavar="BATCH", help="List those newer than this one.")] = None,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """List batches, newest first.

    \b
    Example:
      $ batchyard list --limit 5
    """
    url, key = server(base_url, api_key)
    page = call(url, key, lambda api: api.page(limit=limit, after_id=after, before_id=before))
    if json:
        for batch in page.batches:
            put(batch.raw)
        return 0
    print_batches(page.batches)
    if page.has_more and page.batches:
        more = f"--before {page.batches[0].id}" if before and not after else f"--after {page.batches[-1].id}"
        say(f"there are more: {more}")
    return 0


def show(
    batch: BatchId,
    attempts: Annotated[
        bool, typer.Option("--attempts", help="Show what was tried for each request. Batchyard's servers alone know.")
    ] = False,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """Show one batch, or with --attempts its ledger: each request's attempts, and which may have been billed twice.

    \b
    Example:
      $ batchyard show msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
      $ batchyard show msgbatch_01NvtRm9PRkXkYGbXZV3sW4q --attempts --json
    """
    url, key = server(base_url, api_key)
    if attempts:
        return call(url, key, lambda api: _show_attempts(api, batch, json=json))
    if json:
        return print_batch(call(url, key, lambda api: api.retrieve(batch)), json=True)
    shown, said = call(url, key, lambda api: _look(api, batch))
    return print_batch(shown, json=False, more=outlook.facts(said))


async def _look(api: "Api", batch: str) -> "tuple[MessageBatch, dict[str, Any] | None]":
    return await api.retrieve(batch), await outlook.told(api, batch)


async def _show_attempts(api: "Api", batch: str, *, json: bool) -> int:
    import msgspec

    async for line in api.attempts(batch):
        if json:
            put(line)
            continue
        request = msgspec.json.decode(line)
        mark = "  possibly billed twice" if request["possible_duplicate"] else ""
        put(f"{request['custom_id']}  {request['result']}  {request['attempts']} attempts{mark}".encode())
        for outcome, began, ended, reason in request["traces"]:
            put(f"    {began} to {ended}  {outcome}{': ' if reason else ''}{reason}".encode())
    return 0


def results(
    batch: BatchId,
    output: Output = None,
    force: Force = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print each result as it comes, of a batch that runs on a Batchyard.")
    ] = False,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    json: AsJson = False,
) -> int:
    """Fetch the results of one batch, as they are: JSON lines. A download that was cut is resumed.

    \b
    Example:
      $ batchyard results msgbatch_01NvtRm9PRkXkYGbXZV3sW4q -o results.jsonl
      $ batchyard results msgbatch_01NvtRm9PRkXkYGbXZV3sW4q --follow
    """
    import msgspec

    from batchyard.client.errors import WrongUse
    from batchyard.client.fetch import fetch, fetch_to

    url, key = server(base_url, api_key)
    path = path_or_stdout(output)
    if follow:
        if path is not None:
            raise WrongUse("--follow prints results as they come: leave --output out, or wait for the end without it")
        call(url, key, lambda api: _follow(api, batch))
        return 0
    if path is None:
        call(url, key, lambda api: fetch(api, batch, sys.stdout.buffer.write))
        return 0
    lines = call(url, key, lambda api: fetch_to(api, batch, path, force=force))
    say(f"{lines:,} results are in {path}")
    if json:
        put(msgspec.json.encode({"batch": batch, "results": lines, "output": str(path)}))
    return 0


async def _follow(api: "Api", batch: str) -> None:
    from batchyard.client.following import follow_results
    from batchyard.client.job import PATIENCE

    api.patience = PATIENCE
    async for line in follow_results(api, batch):
        put(line)


def pause(batch: BatchId, base_url: BaseUrl = DEFAULT_URL, api_key: ApiKey = None, json: AsJson = False) -> int:
    """Send nothing more of a batch until it is resumed. What is in flight goes on, and so does its deadline.

    \b
    Example:
      $ batchyard pause msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
    """
    return _hold(batch, base_url, api_key, paused=True, json=json)


def resume(batch: BatchId, base_url: BaseUrl = DEFAULT_URL, api_key: ApiKey = None, json: AsJson = False) -> int:
    """Go on with a batch that was paused.

    \b
    Example:
      $ batchyard resume msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
    """
    return _hold(batch, base_url, api_key, paused=False, json=json)


def _hold(batch: str, base_url: str, api_key: str | None, *, paused: bool, json: bool) -> int:
    url, key = server(base_url, api_key)
    raw = call(url, key, lambda api: api.pause(batch, paused=paused))
    if json:
        put(raw)
    else:
        say(f"{'paused' if paused else 'resumed'} {batch}")
    return 0


def call(url: str, key: str, work: "Callable[[Api], Awaitable[_T]]") -> _T:
    """Make API calls against the server, and return what came of them."""
    from batchyard.client.api import Api

    async def go() -> _T:
        async with Api(url, key) as api:
            return await work(api)

    return complete(go())


def print_batches(batches: "Sequence[MessageBatch]") -> None:
    """Print a line for each batch."""
    rows = [
        (batch.id, batch.processing_status, batch.created_at[:16].replace("T", " "), counted(batch.request_counts))
        for batch in batches
    ]
    table(("batch", "status", "created", "requests"), rows)


def print_batch(batch: "MessageBatch", *, json: bool, more: "Mapping[str, str | None] | None" = None) -> int:
    """Print what a batch is, and ``more`` that is known of it."""
    if json:
        put(batch.raw)
        return 0
    facts = {
        "batch": batch.id,
        "status": batch.processing_status,
        "requests": f"{batch.request_counts.total:,}: {counted(batch.request_counts)}",
        "created": batch.created_at,
        "expires": batch.expires_at,
        "cancel asked": batch.cancel_initiated_at,
        "ended": batch.ended_at,
        "archived": batch.archived_at,
        "results": batch.results_url,
        **(more or {}),
    }
    table(("", ""), [(name, value) for name, value in facts.items() if value])
    return 0
