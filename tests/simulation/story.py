"""A story: what happens to a server, when, and how its model server behaves. All of it follows from one number."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

WORKSPACES = ("w", "v")
VERBS = (
    "turn",
    "beat",
    "backlog",
    "expire",
    "ripe",
    "seal",
    "sweep",
    "archive",
    "create",
    "cancel",
    "delete",
    "finals",
)


@dataclass(frozen=True, slots=True)
class Step:
    """At so many seconds, do this; ``lasts`` is how long the trouble stays, or how long the server is away."""

    at: float
    do: str
    lasts: float = 0.0
    requests: int = 0
    which: int = 0
    word: str = ""
    number: float = 0.0

    def __str__(self) -> str:
        told = {"lasts": self.lasts, "requests": self.requests, "which": self.which, "number": self.number}
        facts = [f"{name}={value:g}" for name, value in told.items() if value]
        return " ".join([f"{self.at:8.2f}  {self.do}", *([self.word] if self.word else []), *facts])


@dataclass(frozen=True, slots=True)
class Story:
    """``odds`` are how often a call ends in which way; the rest is answered. ``seed`` also picks each call's end."""

    seed: int
    limit: int
    odds: dict[str, float] = field(default_factory=dict)
    longest_call: float = 5.0
    store_seconds: float = 0.0
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        odds = ", ".join(f"{kind} {share:.2f}" for kind, share in self.odds.items() if share)
        head = (
            f"seed {self.seed}: {self.limit} slots, calls up to {self.longest_call:g} s, store {self.store_seconds:g} s"
        )
        return "\n".join([f"{head}; {odds or 'every call is answered'}", *map(str, self.steps)])


def written(seed: int) -> Story:
    """Return the story of that number, the same each time."""
    chance = random.Random(seed)
    kinds = ("refused", "not_started", "failed", "unknown", "hung", "held")
    calm = chance.random() < 0.3
    odds = {kind: 0.0 if calm else chance.choice((0.0, 0.0, 0.02, 0.1, 0.3)) for kind in kinds}
    odds["held"] /= 5
    steps = sorted(_steps(chance), key=lambda step: step.at)
    boot = next((number for number, step in enumerate(steps) if step.do == "reboot"), len(steps))
    # While a new boot's time is on trial, whoever sets the clock and starts again is believed: no jump is tried then.
    steps = [step for number, step in enumerate(steps) if number < boot or step.do != "jump"]
    return Story(
        seed=seed,
        limit=chance.choice((1, 2, 4, 9)),
        odds=odds,
        longest_call=chance.choice((0.5, 3.0, 12.0, 45.0)),
        store_seconds=chance.choice((0.0, 0.01, 0.2, 1.5)),
        steps=tuple(replace(step, at=round(step.at, 2)) for step in steps),
    )


def _steps(chance: random.Random) -> Iterator[Step]:
    length = chance.choice((60.0, 150.0, 300.0))

    def at() -> float:
        return chance.uniform(0.0, length)

    for _ in range(chance.randint(1, 5)):
        lasts = chance.choice((5.0, 40.0, 120.0, 400.0))
        word = chance.choice(WORKSPACES)
        yield Step(at() * 0.6, "create", lasts, requests=chance.choice((1, 3, 12, 40)), word=word)
    for do, most in (
        ("cancel", 2),
        ("delete", 3),
        ("pause", 1),
        ("resume", 2),
        ("kill", 3),
        ("drain", 1),
        ("steal", 1),
    ):
        for _ in range(chance.randint(0, most)):
            yield Step(at(), do, chance.choice((0.0, 1.0, 20.0)), which=chance.randint(0, 9))
    if chance.random() < 0.2:
        yield Step(at(), "reboot", chance.choice((1.0, 30.0)), number=chance.choice((0.0, 3600.0, 2592000.0, -86400.0)))
    for _ in range(chance.randint(0, 2)):
        yield Step(at(), "jump", number=chance.choice((3600.0, -3600.0, 86400.0, -86400.0, 2592000.0, -2592000.0)))
    for _ in range(chance.randint(0, 3)):
        yield Step(at(), "trouble", chance.choice((0.5, 5.0, 45.0)), word=chance.choice(VERBS))
    for _ in range(chance.randint(0, 2)):
        kind = chance.choice(("not_started", "failed", "held", "hung"))
        yield Step(at(), "outage", chance.choice((5.0, 40.0)), word=kind)
    if chance.random() < 0.3:
        yield Step(at(), "full", chance.choice((3.0, 30.0)))


def smaller(story: Story) -> Iterator[Story]:
    """Yield stories that are a bit simpler, the boldest first."""
    steps = story.steps
    for size in (len(steps) // 2, len(steps) // 4, 1):
        for begin in range(0, len(steps), max(1, size)):
            if size:
                yield replace(story, steps=steps[:begin] + steps[begin + size :])
    for number, step in enumerate(steps):
        if step.requests > 1:
            fewer = replace(step, requests=step.requests // 2)
            yield replace(story, steps=(*steps[:number], fewer, *steps[number + 1 :]))
    for kind, share in story.odds.items():
        if share:
            yield replace(story, odds={**story.odds, kind: 0.0})
    if story.store_seconds:
        yield replace(story, store_seconds=0.0)
    if story.limit > 1:
        yield replace(story, limit=1)
