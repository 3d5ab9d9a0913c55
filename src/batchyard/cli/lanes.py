"""`batchyard lanes`: what a running server's lanes are doing, and pausing them."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from batchyard.cli.batches import call
from batchyard.cli.bundles import Server, taking
from batchyard.cli.options import AsJson
from batchyard.cli.screen import put, say, table

Upstream = Annotated[str, typer.Argument(metavar="UPSTREAM", help="Name of the upstream, as `lanes list` shows it.")]
Model = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Only its lane of this model, by the upstream's own name for it.")
]
STATES = {
    "held": "held: it failed",
    "probing": "held: a small call tries it",
    "paused": "paused",
    "closed": "closed at this hour",
}
REASONS = {
    "slots": "the upstream's slots are in use",
    "line": "enough wait inside the server",
    "first_token": "more would keep first tokens back",  # a token of text  # nosec B105
    "limit": "its own slots are in use",
    "pace": "the server's rate limit",
}


@taking(server=Server)
def list_(server: Server, json: AsJson = False) -> int:
    """List what the lanes of a server are doing: slots in use, what waits and why, how quick answers are.

    A lane is one upstream and model. It is there from the first request for its model on.

    \b
    Example:
      $ batchyard lanes list
      $ batchyard lanes list --json
    """
    import msgspec

    url, key = server.address
    told = msgspec.json.decode(call(url, key, lambda api: api.beside("GET", "/lanes")))
    if json:
        for lane in told["lanes"]:
            put(msgspec.json.encode(lane))
        return 0
    head = (
        "lane",
        "state",
        "slots",
        "calls",
        "waiting",
        "why",
        "answers/s",
        "usual",
        "slow",
        "first token",
        "last trouble",
    )
    table(head, [_row(lane) for lane in told["lanes"]])
    for upstream in told["upstreams"]:
        carriers = f", {upstream['carriers']} carriers under way" if upstream["carriers"] is not None else ""
        state = "paused" if upstream["paused"] else "open" if upstream["open"] else "closed at this hour"
        line = "" if upstream["waiting"] is None else f", {upstream['waiting']} wait inside it"
        say(f"{upstream['upstream']}: {upstream['taken']} of {upstream['share']} slots in use, {state}{line}{carriers}")
    return 0


@taking(server=Server)
def pause(upstream: Upstream, server: Server, model: Model = None, json: AsJson = False) -> int:
    """Let no batch use an upstream, or one lane of it, until it is resumed; also over a restart of the server.

    What is in flight goes on, and so do calls that somebody waits for. A route's fallback is used meanwhile.

    \b
    Example:
      $ batchyard lanes pause local
      $ batchyard lanes pause local Qwen/Qwen3-8B
    """
    return _hold(server, upstream, model, paused=True, json=json)


@taking(server=Server)
def resume(upstream: Upstream, server: Server, model: Model = None, json: AsJson = False) -> int:
    """Let batches use an upstream, or one lane of it, again.

    \b
    Example:
      $ batchyard lanes resume local
    """
    return _hold(server, upstream, model, paused=False, json=json)


def _hold(server: Server, upstream: str, model: str | None, *, paused: bool, json: bool) -> int:
    import msgspec

    url, key = server.address
    names = "/".join(quote(name, safe="") for name in (upstream, model) if name is not None)
    path = f"/lanes/{names}/{'pause' if paused else 'resume'}"
    raw = call(url, key, lambda api: api.beside("POST", path))
    if json:
        put(raw)
    else:
        told = msgspec.json.decode(raw)
        put(f"{told['lane']}: {'paused' if told['paused'] else 'resumed'}".encode())
    return 0


def _row(lane: dict[str, Any]) -> list[str]:
    state = STATES.get(lane["state"], lane["state"])
    if lane["opens_in"]:
        state += f", {lane['opens_in']:.0f} s more"
    waits = lane["waiting"]
    trouble = lane["last_trouble"]
    return [
        lane["lane"],
        state,
        f"{lane['requests'] + lane['committing']} of {lane['limit']}",
        str(lane["calls"]),
        f"{lane['pending']:,}",
        "" if waits is None else REASONS.get(waits, STATES.get(waits, waits)),
        _rounded(lane["answers_per_second"]),
        _rounded(lane["seconds_usual"], " s"),
        _rounded(lane["seconds_slow"], " s"),
        _rounded(lane.get("seconds_first"), " s"),
        "" if trouble is None else f"{trouble['at'][:19]} {trouble['reason']}",
    ]


def _rounded(number: float | None, unit: str = "") -> str:
    return "" if number is None else f"{number:.3g}{unit}"
