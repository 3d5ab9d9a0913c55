"""`batchyard retry`: what one batch left over, in a new batch."""

from typing import TYPE_CHECKING, Annotated

import typer

from batchyard.cli.batches import call
from batchyard.cli.bundles import Made, Server, taking
from batchyard.cli.options import AsJson, BatchId
from batchyard.cli.screen import put, say

if TYPE_CHECKING:
    from batchyard.client.api import Api
    from batchyard.client.failures import Failures
    from batchyard.client.intakes import Intake
    from batchyard.client.replies import MessageBatch


@taking(server=Server, made=Made)
def retry(
    batch: BatchId,
    server: Server,
    made: Made,
    input: Annotated[  # noqa: A002 - the word users know
        str | None,
        typer.Argument(metavar="INPUT", help="What BATCH was made of; a Batchyard has kept it.", show_default=False),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Send all that did not succeed, also what failed for good or was canceled.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Send again what did not succeed in BATCH and may the next time, as a new batch; print its id.

    \b
    Example:
      $ batchyard retry msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
      $ batchyard retry msgbatch_01NvtRm9PRkXkYGbXZV3sW4q requests.jsonl
    """
    from batchyard.client.intakes import taken
    from batchyard.client.limits import Limits

    url, key = server.address
    if input is None:
        return call(url, key, lambda api: _again(api, batch, None, every=every, json=json))
    with taken(input, making=made.making(input), limits=Limits(), form=made.format) as intake:
        return call(url, key, lambda api: _again(api, batch, (intake, input), every=every, json=json))


async def _again(api: "Api", batch: str, source: "tuple[Intake, str] | None", *, every: bool, json: bool) -> int:
    from batchyard.client.creates import create_once
    from batchyard.client.failures import body_of, failures_of, rerun

    failures = await failures_of(api, batch, every=every)
    if not failures.custom_ids:
        return _end(failures, None, json=json)
    if source is None:
        return _end(failures, await rerun(api, failures), json=json)
    intake, name = source
    with body_of(failures, intake.lines, intake.plan.parts, name) as (body, once):
        return _end(failures, await create_once(api, body, once), json=json)


def _end(failures: "Failures", made: "MessageBatch | None", *, json: bool) -> int:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in failures.left_out.items())
    left_out = f"; left out: {kinds}, which --all sends too" if kinds else ""
    if made is None:
        say(f"there is nothing to send again{left_out}")
        return 0
    put(made.raw if json else made.id.encode())
    say(f"created, with {len(failures.custom_ids):,} requests of {failures.batch_id}{left_out}")
    return 0
