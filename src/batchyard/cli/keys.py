"""`batchyard keys`: who may call the server. A running server notices within seconds."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from batchyard.cli.options import AsJson
from batchyard.cli.screen import put, say, table
from batchyard.cli.settings import with_settings
from batchyard.client.errors import WrongUse
from batchyard.settings import Settings

STORE = ("data", "database", "config")


@with_settings(STORE)
def create(
    settings: Settings,
    workspace: Annotated[str, typer.Option(metavar="NAME", help="Workspace that the key belongs to.")],
    name: Annotated[str, typer.Option(metavar="LABEL", help="Label, to know the key again.")] = "",
) -> int:
    """Make a key and print it, once, alone on standard output.

    \b
    Example:
      $ batchyard keys create --workspace research --name laptop
    """
    from batchyard import app

    with _words_for_refusals(), closing(app.key_book(settings)) as book:
        key, secret = book.create(workspace, name)
    put(secret.encode())
    say(f"made {key.id} of workspace {key.workspace}; the key is not shown again")
    return 0


@with_settings(STORE)
def list_(settings: Settings, json: AsJson = False) -> int:
    """List the keys ever made: their ids, never the keys themselves.

    \b
    Example:
      $ batchyard keys list
    """
    import msgspec

    from batchyard import app

    with _words_for_refusals(), closing(app.key_book(settings)) as book:
        keys = book.listing()
    if json:
        for key in keys:
            put(msgspec.json.encode(key))
        return 0
    rows = [
        (
            key.id,
            key.workspace,
            key.label,
            f"{key.created_at:%F %R}",
            f"{key.revoked_at:%F %R}" if key.revoked_at else "",
        )
        for key in keys
    ]
    table(("id", "workspace", "label", "made", "revoked"), rows)
    return 0


@with_settings(STORE)
def revoke(settings: Settings, key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")]) -> int:
    """End a key for good. Its workspace keeps its batches.

    \b
    Example:
      $ batchyard keys revoke key_4Qv1xKq0nFh2mUeWjBz7RtYc
    """
    from batchyard import app

    with _words_for_refusals(), closing(app.key_book(settings)) as book:
        key = book.revoke(key_id)
    say(f"revoked {key.id} of workspace {key.workspace}")
    return 0


@contextmanager
def _words_for_refusals() -> Iterator[None]:
    from batchyard import app

    try:
        yield
    except app.OPERATOR_ERRORS as problem:
        raise WrongUse(str(problem)) from None
