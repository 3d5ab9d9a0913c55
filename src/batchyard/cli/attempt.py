"""The first requests of a job, sent alone: their answers, their price, and whether to go on."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchyard.cli.live import Live, tokens_in_words
from batchyard.cli.screen import say

if TYPE_CHECKING:
    from batchyard.client.prices import Prices
    from batchyard.client.rounds import Final


def show_attempt(finals: "Sequence[Final]", requests: int, prices: "Prices") -> bool:
    """Show what came back and what it cost; False if any did not succeed."""
    from batchyard.client.answers import answer_of
    from batchyard.client.prices import in_dollars
    from batchyard.client.tally import Tally

    tally = Tally()
    for _, line, known in finals:
        tally.add(known)
        answer = answer_of(line, "text")
        say(f"{known.custom_id}: {answer.result}")
        said = answer.error or answer.answer
        if said:
            say("\n".join(f"    {one}" for one in str(said).splitlines()))
    cost = prices.cost({model: tokens for model, tokens in tally.models.items() if model})
    price = f"; {in_dollars(cost.batch)}" if cost.batch else "; its price is unknown"
    say(f"{tokens_in_words(tally)}{price}")
    if cost.batch and cost.is_known:
        whole = cost.batch * requests / max(len(finals), 1)
        say(f"all {requests:,} requests like {'this' if len(finals) == 1 else 'these'} cost {in_dollars(whole)}")
    return tally.all_succeeded


def goes_on(live: Live, left: int) -> bool:
    """Ask whether to send the rest, where somebody can answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or left <= 0:
        return left <= 0
    live.pause()
    say(f"send the other {left:,}? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
