"""Plays stories by their numbers; of one that breaks an invariant it prints the smallest that still does.

    python -m tests.simulation.simulate 0-999        # or: make simulate SEEDS=0-999
    python -m tests.simulation.simulate 17 --story   # one, told in full

Exit status 1 when an invariant broke.
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation.invariants import INVARIANTS, Broken
from tests.simulation.play import Told, played
from tests.simulation.story import Story, smaller, written

MOST_TRIES = 300
"""Plays that shrinking one story may take: a few minutes."""


def shrunk(story: Story, broken: Broken) -> tuple[Story, Broken]:
    """Return a story that breaks the same invariant, as small as was found, and how it breaks it."""
    tries = 0
    while tries < MOST_TRIES:
        for simpler in islice(smaller(story), MOST_TRIES - tries):
            tries += 1
            again = played(simpler).broken
            if again is not None and again.args[0] == broken.args[0]:
                story, broken = simpler, again
                break
        else:
            break
    return story, broken


def told(story: Story, broken: Broken) -> str:
    """Return the whole of it for people."""
    sentence, *facts = broken.args
    return "\n".join([f"BROKEN: {sentence}", *(f"  {fact}" for fact in facts), str(story), ""])


def _seeds(words: list[str]) -> list[int]:
    seeds: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _play(seed: int) -> tuple[int, Told, str]:
    """Return what came of a story, in a form that goes from process to process, and what to say of one that broke."""
    result, words = played(written(seed)), ""
    if result.broken is not None:
        words = told(*shrunk(written(seed), result.broken))
        result.broken = result.claims.broken = Broken(result.broken.args[0])
    return seed, result, words


def main(arguments: list[str]) -> int:
    """Play them all; print what broke, and how often each invariant was claimed."""
    parser = argparse.ArgumentParser(description="play stories on virtual time")
    parser.add_argument("seeds", nargs="+", help="numbers, or ranges like 0-999")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--story", action="store_true", help="print each story too")
    options = parser.parse_args(arguments)
    seeds = _seeds(options.seeds)
    made: Counter[str] = Counter()
    broke = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, (seed, result, words) in enumerate(pool.map(_play, seeds, chunksize=4), 1):
            made += result.claims.made
            if options.story:
                sys.stdout.write(f"{written(seed)}\ntrace {result.trace}\n")
            if result.broken is not None:
                broke += 1
                sys.stdout.write(f"seed {seed}\n{words}\n")
            if number % 500 == 0:
                sys.stdout.write(f"{number} stories, {broke} broken\n")
            sys.stdout.flush()
    for sentence in INVARIANTS:
        sys.stdout.write(f"{made[sentence]:>12,}  {sentence}\n")
    sys.stdout.write(
        f"{len(seeds)} stories, {sum(made.values()):,} claims of {len(INVARIANTS)} invariants, {broke} broken\n"
    )
    return 1 if broke else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
