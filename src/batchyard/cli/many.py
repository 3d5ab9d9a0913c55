"""Several batches at once, by name or by what they are: watch, cancel, delete."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchyard.cli.batches import call, print_batch, print_batches
from batchyard.cli.bundles import Server, taking
from batchyard.cli.live import Live
from batchyard.cli.loop import complete
from batchyard.cli.options import AsJson, BatchIds
from batchyard.cli.screen import put, say

if TYPE_CHECKING:
    from batchyard.client.api import Api
    from batchyard.client.replies import MessageBatch

LONGEST_AGE = "36500d"
STATE = ".batchyard"
"""How the names of state files end: one of them stands for all batches of its job."""

Older = Annotated[
    str | None, typer.Option("--older-than", metavar="TIME", help="Only those made longer ago, such as 12h or 30d.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, also on a terminal.")]


@taking(server=Server)
def watch(server: Server, batches: BatchIds = None, json: AsJson = False) -> int:
    """Follow batches until all have ended; without BATCH those that run now. Exit status 1 if not all succeeded.

    With --json, each change of a batch is a line.

    \b
    Example:
      $ batchyard watch msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
      $ batchyard watch results.jsonl.batchyard --json
    """
    url, key = server.address
    with Live() as live:
        ended = complete(_watched(url, key, _named(batches, url), live, json=json))
    if not json and len(ended) == 1:
        print_batch(ended[0], json=False)
    elif not json and ended:
        print_batches(ended)
    return 0 if all(batch.request_counts.succeeded == batch.request_counts.total for batch in ended) else 1


async def _watched(url: str, key: str, batches: Sequence[str], live: Live, *, json: bool) -> "Sequence[MessageBatch]":
    from batchyard.client.api import Api
    from batchyard.client.chosen import chosen
    from batchyard.client.follow import follow
    from batchyard.client.job import PATIENCE

    told: dict[str, bytes] = {}

    def tell(latest: "Sequence[MessageBatch]") -> None:
        live.look(latest)
        for batch in latest:
            if json and told.get(batch.id) != batch.raw:
                put(batch.raw)
                told[batch.id] = batch.raw

    async with Api(url, key, on_repeat=live.repeat) as api:
        running = batches or [batch.id for batch in await chosen(api, ended=False)]
        if not running:
            say("no batch is running")
            return ()
        for batch_id in batches:
            await api.retrieve(batch_id)  # a wrong id is told now, not once the others have ended
        api.patience = PATIENCE
        return await follow(api, running, tell)


@taking(server=Server)
def cancel(
    server: Server,
    batches: BatchIds = None,
    all_running: Annotated[bool, typer.Option("--all-running", help="Cancel all that have not ended.")] = False,
    older_than: Older = None,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Cancel batches: nothing more of them is sent, what was answered is kept.

    \b
    Example:
      $ batchyard cancel msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
      $ batchyard cancel --all-running --older-than 12h
    """
    wanted = _wanted(server, "--all-running", batches, all_running, older_than, ended=False)

    async def one(api: "Api", batch_id: str) -> None:
        batch = await api.cancel(batch_id)
        if json or wanted.is_one:
            print_batch(batch, json=json)
        else:
            say(f"{batch_id}: {batch.processing_status}")

    return _each(server, wanted, one, "cancel", yes=yes)


@taking(server=Server)
def delete(
    server: Server,
    batches: BatchIds = None,
    all_ended: Annotated[bool, typer.Option("--all-ended", help="Delete all that have ended.")] = False,
    older_than: Older = None,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """Delete batches that have ended, with their results.

    \b
    Example:
      $ batchyard delete msgbatch_01NvtRm9PRkXkYGbXZV3sW4q
      $ batchyard delete --all-ended --older-than 30d
    """

    async def one(api: "Api", batch_id: str) -> None:
        raw = await api.delete(batch_id)
        if json:
            put(raw)
        else:
            say(f"deleted {batch_id}")

    return _each(
        server, _wanted(server, "--all-ended", batches, all_ended, older_than, ended=True), one, "delete", yes=yes
    )


@dataclass(frozen=True)
class Wanted:
    """Batches by name, or else all that have ended, or have not; made before a moment, where one is given."""

    names: Sequence[str]
    ended: bool
    before: datetime | None

    @property
    def is_one(self) -> bool:
        return len(self.names) == 1

    async def found(self, api: "Api") -> list[str]:
        from batchyard.client.chosen import chosen

        return [batch.id for batch in await chosen(api, ended=self.ended, before=self.before)]


def _named(given: Sequence[str] | None, url: str) -> list[str]:
    """Return the batches that are named, each once; the state file of a job names all of its batches."""
    from batchyard.client.errors import WrongUse
    from batchyard.client.journal import kept_batches

    named: list[str] = []
    for one in given or ():
        if not one.endswith(STATE):
            named.append(one)
            continue
        base_url, batch_ids = kept_batches(Path(one))
        if base_url.rstrip("/") != url.rstrip("/"):
            raise WrongUse(f"{one} is of a job at {base_url}: name that server")
        if not batch_ids:
            raise WrongUse(f"{one}: no batch of this job was made yet")
        named += batch_ids
    return list(dict.fromkeys(named))


def _wanted(
    server: Server, option: str, names: Sequence[str] | None, every: bool, older_than: str | None, *, ended: bool
) -> Wanted:
    from batchyard.client.errors import WrongUse
    from batchyard.declared import parse
    from batchyard.kinds import duration

    if names and (every or older_than):
        raise WrongUse(f"name batches, or choose them with {option} and --older-than: not both")
    if not names and not every and not older_than:
        raise WrongUse(f"name the batches, or choose them with {option} or --older-than")
    before = None
    if older_than:
        past = parse(duration("0s", LONGEST_AGE), "--older-than ", older_than)
        assert isinstance(past, timedelta)
        before = datetime.now(UTC) - past
    return Wanted(_named(names, server.address[0]), ended, before)


def _each(server: Server, wanted: Wanted, one: "Callable[[Api, str], Awaitable[None]]", verb: str, *, yes: bool) -> int:
    """Do it to each; one that the server refuses does not keep the others from it. Exit status 3 if any was."""
    url, key = server.address
    found = list(wanted.names) or call(url, key, wanted.found)
    if not wanted.names and not _is_meant(verb, len(found), yes=yes):
        return 0

    async def all_of_them(api: "Api") -> int:
        from batchyard.client.errors import RefusedByServer

        refused = 0
        for batch_id in found:
            try:
                await one(api, batch_id)
            except RefusedByServer as problem:
                if wanted.is_one:
                    raise
                say(f"{batch_id}: {problem}")
                refused += 1
        return 3 if refused else 0

    return call(url, key, all_of_them)


def _is_meant(verb: str, count: int, *, yes: bool) -> bool:
    """Ask, where somebody can answer, whether so many batches are meant."""
    if not count:
        say(f"there is nothing to {verb}")
        return False
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    say(f"{verb} {count:,} {'batch' if count == 1 else 'batches'}? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
