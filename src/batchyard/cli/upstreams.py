"""`batchyard upstreams`: the model servers that are configured, and whether they work."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from batchyard.cli.keys import words_for_refusals
from batchyard.cli.loop import complete
from batchyard.cli.options import AsJson
from batchyard.cli.screen import put, say, table
from batchyard.cli.settings import with_settings
from batchyard.client.errors import WrongUse
from batchyard.settings import Settings

if TYPE_CHECKING:
    from batchyard.trial import Finding

STORED = ("config", "data")
SETTINGS = ("config", "upstream", "upstream_api", "upstream_key_env", "model", "concurrency")


@with_settings(SETTINGS)
def list_(settings: Settings, json: AsJson = False) -> int:
    """List the model servers of the settings, and which models lead to them.

    \b
    Example:
      $ batchyard upstreams list --config batchyard.toml
    """
    import msgspec

    from batchyard import trial

    known = trial.configured(settings)
    if json:
        for one in known:
            put(msgspec.json.encode(one))
        return 0
    rows = [
        (
            one.upstream,
            one.api,
            one.url or "",
            str(one.concurrency),
            "yes" if one.has_key else "no",
            ", ".join([*one.models, *(f"({model})" for model in one.fallback_for)]),
        )
        for one in known
    ]
    table(("upstream", "api", "url", "slots", "key", "models (fallback)"), rows)
    return 0


@with_settings(SETTINGS)
def try_out(
    settings: Settings,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this upstream.")] = None,
    try_: Annotated[
        str | None, typer.Option("--try", metavar="MODEL", help="Ask for this model; else the first that it lists.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Send each model server a small request, and say what works: an answer, a stream, a count, its models.

    It costs a few tokens. Exit status 1 if one gave no answer; what else is missing is only said.

    \b
    Example:
      $ batchyard upstreams test
      $ batchyard upstreams test --upstream http://127.0.0.1:8000 --try qwen3
    """
    from batchyard import app, trial

    async def try_all() -> int:
        tried, failed = 0, 0
        async for finding in trial.findings(settings, app.SteadyClock(), only=name, model=try_):
            tried += 1
            failed += finding.needed and not finding.works
            _show(finding, json=json)
        if not tried:
            raise WrongUse(f"there is no upstream {name!r}; `batchyard upstreams list` shows them")
        say(f"{failed} without an answer" if failed else "every upstream answers")
        return 1 if failed else 0

    try:
        return complete(try_all())
    except app.OPERATOR_ERRORS as problem:
        raise WrongUse(str(problem)) from None


@with_settings(STORED)
def set_key(
    settings: Settings, name: Annotated[str, typer.Argument(metavar="NAME", help="An upstream of the settings.")]
) -> int:
    """Store the key of an upstream, read from standard input (to its end), encrypted in the data folder.

    BATCHYARD_VAULT_SECRET_FILE names a file with the secret that it is encrypted under; keep that elsewhere. The key
    goes to the URL that the upstream has now, and to no other. A server takes it when it starts: key_stored = true.

    \b
    Example:
      $ batchyard upstreams set-key hosted
    """
    from batchyard import app

    with words_for_refusals():
        url, is_used = app.store_key(settings, name, sys.stdin.read())
    say(f"stored; it goes to {url} alone")
    if not is_used:
        say(f"set key_stored = true in [upstreams.{name}] for it to be used")
    return 0


@with_settings(STORED)
def forget_key(settings: Settings, name: Annotated[str, typer.Argument(metavar="NAME", help="The upstream.")]) -> int:
    """Remove the stored key of an upstream. Revoke it with its provider too: it was on a disk.

    \b
    Example:
      $ batchyard upstreams forget-key hosted
    """
    from batchyard import app

    with words_for_refusals():
        app.forget_key(settings, name)
    say("removed")
    return 0


def _show(finding: "Finding", *, json: bool) -> None:
    if json:
        import msgspec

        put(msgspec.json.encode(finding))
        return
    mark = "ok" if finding.works else "FAILED" if finding.needed else "no"
    cells = (finding.upstream, finding.check, mark, f"{finding.seconds:.2f} s", finding.words)
    table(("",) * len(cells), [cells])
