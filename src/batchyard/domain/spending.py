"""What a workspace may spend on batches in a day and in a month (UTC), and how much of that is left. Pure.

US dollars at the batch price, of answers as they come. Nothing is started once it is spent, so what goes beyond it is
at most what was in flight.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from batchyard.domain.errors import RateLimited
from batchyard.domain.pricing import Price, cost
from batchyard.domain.usage import Usage, Used

BYTES_PER_TOKEN = 4.0
"""Of English text and JSON, about; what is estimated is meant to be too little rather than too much."""
MOST_COUNTED_BYTES = 6_000
"""Of one request: an image of megabytes has no more tokens than a page of text (1,600 at most)."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent in each; None: any."""

    day: float | None = None
    month: float | None = None

    @property
    def is_limit(self) -> bool:
        return (self.day, self.month) != (None, None)


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent today, and this month."""

    day: float = 0.0
    month: float = 0.0

    def and_now(self, amount: float) -> "Spent":
        return Spent(self.day + amount, self.month + amount)


@dataclass(frozen=True, slots=True)
class SpendCapped:
    """A workspace has spent what it may, and nothing more of it is started; or it may spend again."""

    workspace: str
    reached: bool


def spent(rows: Iterable[Used], prices: Mapping[str, Price | None], today: date) -> Spent:
    """Return what these rows of the month came to. Models without a price cost nothing that is known."""
    month = day = 0.0
    for row in rows:
        paid = cost(row.requests, row.usage, prices.get(row.model)).batch
        month += paid
        day += paid if row.day == today else 0.0
    return Spent(day, month)


def amount(usage: Usage, price: Price | None) -> float:
    """Return what one answer cost."""
    return cost(1, usage, price).batch


def least(lengths: Mapping[str, Sequence[int]], prices: Mapping[str, Price | None]) -> float:
    """Return what requests cost at least: their input, by model and bytes of params. Answers are not known yet."""
    total = 0.0
    for model, sizes in lengths.items():
        tokens = sum(min(size, MOST_COUNTED_BYTES) for size in sizes) / BYTES_PER_TOKEN
        total += amount(Usage(input_tokens=int(tokens)), prices.get(model))
    return total


def may_spend(caps: Caps, so_far: Spent) -> bool:
    """Whether anything is left."""
    return all(used < most for _, most, used, _ in _limits(caps, so_far))


def check(caps: Caps, so_far: Spent, more: float = 0.0) -> None:
    """Raise ``RateLimited`` where nothing is left, or less than ``more``: waiting does not help."""
    for per, most, used, begins in _limits(caps, so_far):
        words = f"This workspace may spend {most:.2f} US dollars a {per} on batches"
        if used >= most:
            raise RateLimited(f"{words}, and has spent {used:.2f}. It may spend again {begins} (UTC).", None)
        if used + more > most:
            costs = f"{used:.2f} are spent, and the input of this batch alone costs about {more:.2f} more"
            raise RateLimited(f"{words}: {costs}. Make the batch smaller.", None)


def _limits(caps: Caps, so_far: Spent) -> Iterator[tuple[str, float, float, str]]:
    """Yield each cap: its name, what may be spent, what was, and when it begins anew."""
    if caps.month is not None:
        yield "month", caps.month, so_far.month, "from the first of next month on"
    if caps.day is not None:
        yield "day", caps.day, so_far.day, "from midnight on"
