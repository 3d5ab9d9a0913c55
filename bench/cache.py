"""What the order of runs gains with a prompt cache: ``python -m bench.cache``, with what the tests need installed.

A batch whose requests begin alike in groups, shuffled, runs on virtual time against the simulator, whose cache keeps a
beginning for five minutes; answers take 20 s. Told is the share of the input tokens that was read from the cache, as
usage says: in our order, in the order in which the requests came, and at best (all but the first of each group). The
figures are counts: they do not depend on the machine.
"""

import json

from tests.simulation.prompts import Work, use

WORKS = [Work(groups=100, each=each, slots=slots) for each, slots in [(6, 4), (20, 4), (20, 16), (6, 16), (20, 64)]]


def main() -> None:
    for work in WORKS:
        ours, as_it_came = use(work, together=True), use(work, together=False)
        told = {
            "groups": work.groups,
            "each": work.each,
            "slots": work.slots,
            "ours": round(ours.share, 3),
            "as it came": round(as_it_came.share, 3),
            "best": round(ours.best(work), 3),
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
