"""`batchyard run`: a file of requests or rows in, a file of results out."""

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchyard.cli.attempt import goes_on, show_attempt
from batchyard.cli.bundles import Made, Server, Split, taking
from batchyard.cli.estimate import Priced
from batchyard.cli.live import Live, sum_up
from batchyard.cli.loop import Stopped, complete
from batchyard.cli.options import AsJson, BatchLabels, BatchName, Force, Input, Output, label_headers, path_or_stdout
from batchyard.cli.screen import put, say

if TYPE_CHECKING:
    from batchyard.client.job import Job, Run
    from batchyard.client.prices import Prices
    from batchyard.client.tally import Tally


@dataclass(frozen=True)
class Shaped:
    """What the output looks like."""

    output_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="lines: results as the server gives them; csv, tsv, jsonl, parquet: rows with their answers. "
            "Without it OUTPUT's name tells, and whether INPUT is a table.",
            show_default=False,
        ),
    ] = None
    extract: Annotated[
        str | None, typer.Option(metavar="WHAT", help="Make rows with this of each answer: text, json or tool.")
    ] = None
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where requests that did not succeed go, as an INPUT for another run. [default: OUTPUT with .errors]",
            show_default=False,
        ),
    ] = None
    force: Force = False


@dataclass(frozen=True)
class Going:
    """How the job goes on."""

    retries: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=10, help="How often what may succeed the next time is sent again."),
    ] = 2
    detach: Annotated[bool, typer.Option("--detach", help="Create the batches, and leave.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and send nothing.")] = False
    max_cost: Annotated[
        str | None,
        typer.Option(metavar="DOLLARS", help="Make no batch that could cost more than what is left of this."),
    ] = None
    name: BatchName = None
    labels: BatchLabels = None
    attempt: Annotated[
        int | None,
        typer.Option("--try", metavar="N", min=1, help="Send N requests first, show answers and price, then ask."),
    ] = None


@taking(server=Server, made=Made, split=Split, shaped=Shaped, going=Going, priced=Priced)
def run(
    input: Input,  # noqa: A002 - the word users know
    server: Server,
    made: Made,
    split: Split,
    shaped: Shaped,
    going: Going,
    priced: Priced,
    output: Output = None,
    json: AsJson = False,
) -> int:
    """Run a whole job: check, create, follow, send again what may succeed, and write results in the order of INPUT.

    INPUT is split over as many batches as the limits need. With -o a state file beside OUTPUT remembers them:
    the same command, started again, goes on where it stopped. Without -o nothing is remembered.

    \b
    Example:
      $ batchyard run requests.jsonl -o results.jsonl
      $ batchyard run reviews.csv --template 'Classify: {review}' --model claude-haiku-4-5 --max-tokens 5 -o labels.csv
    """
    from batchyard.client.job import prepared

    (url, key), began, prices = server.address, time.monotonic(), priced.prices
    job = _job(input, path_or_stdout(output), made, split, shaped, going, prices)
    wanting = {"--json": json, "--detach": going.detach, "--try": going.attempt is not None}
    if job.output is None and any(wanting.values()):
        raise _needs_output(next(option for option, is_given in wanting.items() if is_given))
    with prepared(job, url) as work:
        for note in work.plan.notes:
            say(f"note: {note}")
        if going.dry_run:
            return _say_plan(work, json=json)
        tally = _completed(work, url, key, prices, going)
    return tally if isinstance(tally, int) else _end(job, tally, prices, time.monotonic() - began, json=json)


def _completed(work: "Run", url: str, key: str, prices: "Prices", going: Going) -> "Tally | int":
    """Return what the job came to, or the exit status of one that is left before its end."""
    from batchyard.client.budget import CostReached
    from batchyard.client.errors import ServerError

    if work.journal.path is None:
        say("without -o no state is kept: if this stops, its results are fetched with `batchyard results`")
    try:
        return complete(_go(work, url, key, prices, going))
    except CostReached as reached:
        if not work.batch_ids:
            raise
        say(f"batchyard: {reached}")
        return 1
    except (ServerError, KeyboardInterrupt, Stopped, OSError):
        _say_how_to_go_on(work)
        raise


def _job(
    source: str, output: Path | None, made: Made, split: Split, shaped: Shaped, going: Going, prices: "Prices"
) -> "Job":
    from batchyard.client.answers import EXTRACTS
    from batchyard.client.budget import Budget
    from batchyard.client.errors import WrongUse
    from batchyard.client.job import Job
    from batchyard.client.output import OUTPUT_FORMATS
    from batchyard.client.prices import dollars

    if shaped.extract is not None and shaped.extract not in EXTRACTS:
        raise WrongUse(f"--extract {shaped.extract!r} is none of {', '.join(EXTRACTS)}")
    if shaped.output_format is not None and shaped.output_format not in OUTPUT_FORMATS:
        raise WrongUse(f"--output-format {shaped.output_format!r} is none of {', '.join(OUTPUT_FORMATS)}")
    return Job(
        source,
        output,
        shaped.force,
        replace(split.limits, first=going.attempt),
        retries=going.retries,
        errors=shaped.errors or (output and output.with_name(f"{output.stem}.errors.jsonl")),
        making=made.making(source),
        form=made.format,
        output_format=shaped.output_format,
        extract=shaped.extract,
        headers=label_headers(going.name, going.labels),
        budget=None if going.max_cost is None else Budget(dollars("--max-cost", going.max_cost), prices),
    )


async def _go(work: "Run", url: str, key: str, prices: "Prices", going: Going) -> "Tally | int":
    from batchyard.client.api import Api

    with Live(prices) as live:
        async with Api(url, key, on_repeat=live.repeat) as api:
            if going.attempt is not None:
                shown = show_attempt(await work.attempt(api, live.hear), work.plan.requests, prices)
                if not shown or not goes_on(live, work.plan.requests - going.attempt):
                    say("the same command without --try goes on with the rest")
                    return 0 if shown else 1
            if not going.detach:
                return await work.go(api, live.hear, sys.stdout.buffer)
            await work.detach(api, live.hear)
    say("left to the server: the same command without --detach waits for it and writes the results")
    say(f"`batchyard watch {shlex.quote(str(work.journal.path))}` looks on")
    return 0


def _end(job: "Job", tally: "Tally", prices: "Prices", seconds: float, *, json: bool) -> int:
    say(sum_up(tally, prices, seconds))
    if job.output is not None:
        say(f"results are in {job.output}")
    if job.errors is not None and not tally.all_succeeded:
        say(f"what did not succeed is in {job.errors}: an input for another run, once the cause is gone")
    if json:
        put(_summary(tally, prices))
    return 0 if tally.all_succeeded else 1


def _summary(tally: "Tally", prices: "Prices") -> bytes:
    import msgspec

    cost = prices.cost(tally.models)
    known = float(cost.batch) if cost.is_known else None
    return msgspec.json.encode({"requests": tally.requests, **msgspec.to_builtins(tally), "cost_usd": known})


def _say_plan(work: "Run", *, json: bool) -> int:
    import msgspec

    parts = work.plan.parts
    if json:
        sizes = [{"requests": part.requests, "bytes": part.body_bytes} for part in parts]
        put(msgspec.json.encode({"requests": work.plan.requests, "batches": sizes, "notes": work.plan.notes}))
    noun = "batch" if len(parts) == 1 else "batches"
    size = sum(part.body_bytes for part in parts)
    say(f"{work.plan.requests:,} requests in {len(parts)} {noun}, {size:,} bytes: all right. Nothing was sent")
    return 0


def _needs_output(option: str) -> Exception:
    from batchyard.client.errors import WrongUse

    reason = "standard output is taken by the results" if option == "--json" else "the job is kept beside it"
    return WrongUse(f"{option} needs -o OUTPUT: {reason}")


def _say_how_to_go_on(work: "Run") -> None:
    if work.journal.path is not None and work.journal.holds_anything:
        say("stopped here. The server goes on with what it has; the same command goes on where this one stopped")
        say(f"`batchyard cancel {shlex.quote(str(work.journal.path))}` ends it instead")
    elif work.batch_ids:
        say("stopped here. The server goes on; fetch the results with:")
        for batch_id in work.batch_ids:
            say(f"  batchyard results {batch_id}")
    if work.is_unsure and work.journal.path is None:
        say("one create was sent and not answered: `batchyard list` shows whether it made a batch")
    elif not work.journal.holds_anything:
        say("stopped here. No batch was made")
