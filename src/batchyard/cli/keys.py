"""`batchyard keys`: who may call the server, for what, and until when. A running server notices within seconds."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from batchyard.cli.options import AsJson
from batchyard.cli.screen import put, say, table
from batchyard.cli.settings import with_settings
from batchyard.client.errors import WrongUse
from batchyard.settings import Settings

STORE = ("data", "database", "config")
NEVER_TOO_LONG = "36500d"


@with_settings(STORE)
def create(
    settings: Settings,
    workspace: Annotated[str, typer.Option(metavar="NAME", help="Workspace that the key belongs to.")],
    name: Annotated[str, typer.Option(metavar="LABEL", help="Label, to know the key again.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it is for: submit, read, cancel, delete, admin or all; may be given several times. "
            "[default: all but admin]",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it is good, such as 12h or 90d; else for ever.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Make a key and print it, once, alone on standard output.

    \b
    Example:
      $ batchyard keys create --workspace research --name laptop
      $ batchyard keys create --workspace research --name monitor --scope read --expires 90d
    """
    from batchyard import app

    lifetime = _duration("--expires", "1s", expires) if expires is not None else None
    is_new = settings.database is None and not settings.data.exists()
    with words_for_refusals(), closing(app.key_book(settings, may_be_new=True)) as book:
        chosen = {"scopes": scope} if scope else {}
        key, secret = book.create(workspace, name, lifetime=lifetime, **chosen)
    put(_told(key, secret) if json else secret.encode())
    say(f"made {key.id} of workspace {key.workspace}; the key is not shown again")
    if is_new:
        say(f"{settings.data} is a new data folder: give the server the same --data")
    return 0


@with_settings(STORE)
def list_(settings: Settings, json: AsJson = False) -> int:
    """List the keys ever made: their ids, never the keys themselves.

    \b
    Example:
      $ batchyard keys list
    """
    from batchyard import app

    with words_for_refusals(), closing(app.key_book(settings)) as book:
        keys = book.listing()
    if json:
        for key in keys:
            put(_told(key))
        return 0
    rows = [
        (
            key.id,
            key.workspace,
            key.label,
            " ".join(key.scope_words),
            _day(key.created_at),
            _end(key.expires_at, key.revoked_at),
        )
        for key in keys
    ]
    table(("id", "workspace", "label", "scopes", "made", "ends"), rows)
    return 0


@with_settings(STORE)
def revoke(
    settings: Settings,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")],
    json: AsJson = False,
) -> int:
    """End a key for good. Its workspace keeps its batches.

    \b
    Example:
      $ batchyard keys revoke key_4Qv1xKq0nFh2mUeWjBz7RtYc
    """
    from batchyard import app

    with words_for_refusals(), closing(app.key_book(settings)) as book:
        key = book.revoke(key_id)
    if json:
        put(_told(key))
    say(f"revoked {key.id} of workspace {key.workspace}")
    return 0


@with_settings(STORE)
def rotate(
    settings: Settings,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")],
    keep: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old key stays good; 0s ends it at once.")
    ] = "24h",
    json: AsJson = False,
) -> int:
    """Make a key that may do the same, print it once, and let the old one end a day later.

    \b
    Example:
      $ batchyard keys rotate key_4Qv1xKq0nFh2mUeWjBz7RtYc
      $ batchyard keys rotate key_4Qv1xKq0nFh2mUeWjBz7RtYc --keep 0s
    """
    from batchyard import app

    kept = _duration("--keep", "0s", keep)
    with words_for_refusals(), closing(app.key_book(settings)) as book:
        key, secret = book.rotate(key_id, kept)
    put(_told(key, secret) if json else secret.encode())
    say(f"made {key.id} of workspace {key.workspace}; {key_id} is good for {keep} more")
    return 0


def _duration(option: str, low: str, text: str) -> timedelta:
    from batchyard.declared import parse
    from batchyard.kinds import duration

    lasting = parse(duration(low, NEVER_TOO_LONG), f"{option} ", text)
    assert isinstance(lasting, timedelta)
    return lasting


def _told(key: Any, secret: str | None = None) -> bytes:
    """Return a key as JSON; its secret only where it was just made."""
    import msgspec

    shown = msgspec.to_builtins(key) | {"scopes": key.scope_words}
    return msgspec.json.encode(shown if secret is None else shown | {"key": secret})


def _day(moment: datetime) -> str:
    return f"{moment:%F %R}"


def _end(expires_at: datetime | None, revoked_at: datetime | None) -> str:
    if revoked_at:
        return f"revoked {_day(revoked_at)}"
    return _day(expires_at) if expires_at else ""


@contextmanager
def words_for_refusals() -> Iterator[None]:
    from batchyard import app

    try:
        yield
    except app.OPERATOR_ERRORS as problem:
        raise WrongUse(str(problem)) from None
