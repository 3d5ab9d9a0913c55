"""`batchyard estimate`: what a job will take and cost, before anything of it is sent."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from batchyard.cli.bundles import Made, Server, Split, taking
from batchyard.cli.loop import complete
from batchyard.cli.options import AsJson, Input
from batchyard.cli.screen import put, say, table

if TYPE_CHECKING:
    from batchyard.client.estimate import Estimate
    from batchyard.client.prices import Cost, Prices
    from batchyard.client.survey import Asked


@dataclass(frozen=True)
class Priced:
    """What models cost."""

    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=IN/OUT",
            help="Price of a model of your own, in dollars for a million tokens in and out; /BATCH_IN/BATCH_OUT may "
            "follow. May be repeated.",
        ),
    ] = None

    @property
    def prices(self) -> "Prices":
        from batchyard.client.errors import WrongUse
        from batchyard.client.prices import Prices, own_prices

        try:
            return Prices(own_prices(self.price or ()))
        except ValueError as problem:
            raise WrongUse(f"--price: {problem}") from None


@dataclass(frozen=True)
class Asking:
    """How tokens are known."""

    sample: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Requests of each model whose tokens are counted.")
    ] = 20
    count: Annotated[bool, typer.Option(help="Ask the server's count_tokens; else tokens are estimated.")] = True
    output_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Tokens that an answer is expected to have; max_tokens without it."),
    ] = None
    requests: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, help="Also the cost of so many requests like these; may be repeated."),
    ] = None


@taking(server=Server, made=Made, split=Split, priced=Priced, asking=Asking)
def estimate(
    input: Input,  # noqa: A002 - the word users know
    server: Server,
    made: Made,
    split: Split,
    priced: Priced,
    asking: Asking,
    json: AsJson = False,
) -> int:
    """Say how many requests, tokens and batches INPUT makes, and what it costs: standard, and as batches.

    Tokens in are counted by the server on a sample, else estimated. Tokens out are at most max_tokens.

    \b
    Example:
      $ batchyard estimate requests.jsonl
      $ batchyard estimate requests.jsonl --output-tokens 300 --requests 1000 --requests 10000
    """
    from batchyard.client.estimate import estimate as estimated
    from batchyard.client.intakes import taken
    from batchyard.client.source import request_lines
    from batchyard.client.survey import surveyed

    prices = priced.prices
    with taken(input, making=made.making(input), limits=split.limits, form=made.format) as intake:
        parts = intake.plan.parts
        lines = (line for part in parts for line in request_lines(intake.lines, part))
        models = surveyed(lines, intake.plan.requests)
    if asking.count:
        complete(_count(models, server, asking.sample))
    told = estimated(models, parts, prices, asking.output_tokens)
    if json:
        put(_as_json(told, asking.requests or ()))
    else:
        _show(told, asking.requests or ())
    return 0


async def _count(models: "dict[str, Asked]", server: Server, sample: int) -> None:
    """Ask the server; whatever is in the way is said, and the estimate stands."""
    from batchyard.client.api import Api
    from batchyard.client.errors import ServerError
    from batchyard.client.patience import Patience
    from batchyard.client.survey import counted
    from batchyard.declared import ConfigError

    try:
        async with Api(*server.address, patience=Patience(1)) as api:
            await counted(models, api.count_tokens, sample)
    except (ServerError, ConfigError) as problem:
        say(f"tokens are estimated, not counted: {problem}")


def _show(told: "Estimate", scales: "list[int] | tuple[()]") -> None:
    rows = [
        (
            one.model or "(none)",
            f"{one.requests:,}",
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            *_costs(one.cost),
        )
        for one in told.models
    ]
    out = "tokens out, at most" if told.is_at_most else "tokens out, expected"
    table(("model", "requests", "tokens in", out, "standard", "batch", "saving"), rows)
    sys.stdout.write("\n")
    sums = [told.requests, *scales]
    table(("requests", "standard", "batch", "saving"), [(f"{n:,}", *_costs(told.scaled(n))) for n in sums])
    say("tokens in: counted by the server on a sample" if told.is_counted else "tokens in: estimated, not counted")
    for one in told.models:
        say(f"{one.model or 'requests without a model'}: " + (one.origin or "no price is known; give --price"))
    split = ", ".join(f"{part.requests:,}" for part in told.parts[:10]) + (", …" if len(told.parts) > 10 else "")
    say(f"{len(told.parts)} {'batch' if len(told.parts) == 1 else 'batches'}: {split} requests")


def _costs(cost: "Cost") -> tuple[str, str, str]:
    from batchyard.client.estimate import saving
    from batchyard.client.prices import in_dollars

    if not cost.is_known and not cost.standard:
        return ("unknown",) * 3
    more = "" if cost.is_known else " and more"
    return in_dollars(cost.standard) + more, in_dollars(cost.batch) + more, saving(cost)


def _as_json(told: "Estimate", scales: "list[int] | tuple[()]") -> bytes:
    import msgspec

    def cost(one: "Cost") -> dict[str, float | None]:
        known = (float(one.standard), float(one.batch)) if one.is_known else (None, None)
        return dict(zip(("standard_usd", "batch_usd"), known, strict=True))

    models = [
        {
            "model": one.model,
            "requests": one.requests,
            "input_tokens": one.input_tokens,
            "output_tokens": one.output_tokens,
            **cost(one.cost),
            "batch_price": one.origin or None,
        }
        for one in told.models
    ]
    return msgspec.json.encode(
        {
            "requests": told.requests,
            **cost(told.cost),
            "input_tokens_are": "counted" if told.is_counted else "estimated",
            "output_tokens_are": "at most" if told.is_at_most else "expected",
            "models": models,
            "batches": [{"requests": part.requests, "bytes": part.body_bytes} for part in told.parts],
            "scaled": [{"requests": n, **cost(told.scaled(n))} for n in scales],
        }
    )
