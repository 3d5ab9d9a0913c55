"""What it costs to learn from an outcome: ``python -m bench.observe`` counts observed outcomes per CPU second."""

import json
import random
import time

from batchyard.domain.limiter import Limiter
from batchyard.domain.outcome import Answered, NotStarted, Outcome
from batchyard.domain.result import RequestError

SLOTS = 256
CALLS = 200_000
REFUSED = NotStarted(RequestError("overloaded_error", "busy"))


def main() -> None:
    for refused in (0.0, 0.01, 0.1):
        print(json.dumps({"refused": refused, "calls per CPU second": round(rate(refused))}), flush=True)


def rate(refused: float) -> float:
    """Return the calls per CPU second, of answers of all lengths and this share of refusals, 5,000 in a second."""
    chance = random.Random(1)
    limiter = Limiter(SLOTS)
    calls = [_call(chance, refused) for _ in range(CALLS)]
    began = time.process_time()
    for number, (outcome, seconds, position) in enumerate(calls):
        limiter.observe(outcome, number / 5_000, seconds=seconds, position=position, others=SLOTS - 1)
    return CALLS / (time.process_time() - began)


def _call(chance: random.Random, refused: float) -> tuple[Outcome, float, int]:
    outcome = REFUSED if chance.random() < refused else Answered(b"{}", 1_000, int(10 * 2 ** chance.uniform(0, 8)))
    return outcome, chance.uniform(0.025, 0.075), chance.randint(1, SLOTS)


if __name__ == "__main__":
    main()
