"""`batchyard run`: a file of requests in, a file of results out."""

import sys
import time
from typing import TYPE_CHECKING

from batchyard.cli.loop import Stopped, complete
from batchyard.cli.options import (
    DEFAULT_URL,
    ApiKey,
    BaseUrl,
    Force,
    Input,
    MostBytes,
    MostRequests,
    Output,
    path_or_stdout,
    server,
)
from batchyard.cli.screen import Live, say, sum_up

if TYPE_CHECKING:
    from batchyard.client.job import Run
    from batchyard.client.tally import Tally


def run(
    input: Input,  # noqa: A002 - the word users know
    output: Output = None,
    force: Force = False,
    base_url: BaseUrl = DEFAULT_URL,
    api_key: ApiKey = None,
    batch_requests: MostRequests = 100_000,
    batch_bytes: MostBytes = 268_435_456,
) -> int:
    """Run a whole job: check, create, follow, and write the results in the order of INPUT.

    INPUT is split over as many batches as the limits need. With -o a state file beside OUTPUT remembers them:
    the same command, started again, goes on where it stopped. Without -o nothing is remembered.

    \b
    Example:
      $ batchyard run requests.jsonl -o results.jsonl
    """
    from batchyard.client.errors import ServerError
    from batchyard.client.job import Job, prepared
    from batchyard.client.limits import Limits

    url, key = server(base_url, api_key)
    job = Job(input, path_or_stdout(output), force, Limits(batch_requests, batch_bytes))
    began = time.monotonic()
    with prepared(job, url) as work:
        if job.output is None:
            say("without -o no state is kept: if this stops, its results are fetched with `batchyard results`")
        try:
            tally = complete(_go(work, url, key))
        except (ServerError, KeyboardInterrupt, Stopped, OSError):
            _say_how_to_go_on(work)
            raise
    say(sum_up(tally, time.monotonic() - began))
    if job.output is not None:
        say(f"results are in {job.output}")
    return 0 if tally.all_succeeded else 1


async def _go(work: "Run", url: str, key: str) -> "Tally":
    from batchyard.client.api import Api

    with Live() as live:
        async with Api(url, key, on_repeat=live.repeat) as api:
            return await work.go(api, live.hear, sys.stdout.buffer)


def _say_how_to_go_on(work: "Run") -> None:
    if work.journal.path is not None and work.journal.holds_anything:
        say("stopped here. The server goes on with what it has; the same command goes on where this one stopped")
    elif work.batch_ids:
        say("stopped here. The server goes on; fetch the results with:")
        for batch_id in work.batch_ids:
            say(f"  batchyard results {batch_id}")
    if work.is_unsure and work.journal.path is None:
        say("one create was sent and not answered: `batchyard list` shows whether it made a batch")
    elif not work.journal.holds_anything:
        say("stopped here. No batch was made")
