"""Options that several commands share, and the server they speak to: the one that was named, or this machine's."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

import typer

from batchyard.cli.completion import known_batches
from batchyard.cli.screen import say
from batchyard.config import check_http_url, is_local_url
from batchyard.declared import ConfigError

DEFAULT_URL = "http://127.0.0.1:8787"
LOCAL_KEY = "local"
"""A server on this machine that has no keys yet takes any."""

_T = TypeVar("_T")


def not_empty(value: _T) -> _T:
    """Refuse an argument that is empty, as a variable that was never set makes it."""
    if "" in (value if isinstance(value, list) else [value]):
        raise typer.BadParameter("it is empty: is a variable of your script not set?")
    return value


BaseUrl = Annotated[
    str, typer.Option(envvar="ANTHROPIC_BASE_URL", metavar="URL", help="Server to speak to.", show_default=True)
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="ANTHROPIC_API_KEY",
        metavar="KEY",
        help="Its API key; on this machine it may be left out. The variable keeps it out of the process list.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
BatchId = Annotated[
    str,
    typer.Argument(
        metavar="BATCH",
        help="Id of the batch, such as msgbatch_01….",
        autocompletion=known_batches,
        callback=not_empty,
    ),
]
BatchIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BATCH",
        help="Ids of batches, such as msgbatch_01…; the state file of a job (OUTPUT.batchyard) names all of it.",
        show_default=False,
        autocompletion=known_batches,
        callback=not_empty,
    ),
]
Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Requests or rows, in any form of docs/cli.md; - is standard input.",
        callback=not_empty,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUTPUT", help="File for the results; standard output without it."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite OUTPUT if it exists.")]


BatchName = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Name of the batch, for people.")]
BatchLabels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label of the batch; may be given again.")
]


def label_pair(text: str) -> tuple[str, str]:
    """Return the key and value of a label as it is written on the command line."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text}: write a label as KEY=VALUE")
    return key, value


def label_headers(name: str | None, labels: Sequence[str] | None) -> dict[str, str]:
    """Return the headers that name and label a batch at its create; servers that do not know them leave them be."""
    pairs = [label_pair(text) for text in labels or ()]
    told = {"batchyard-labels": ", ".join(f"{quote(key)}={quote(value)}" for key, value in pairs)} if pairs else {}
    return told | ({"batchyard-name": quote(name)} if name else {})


def server(base_url: str, api_key: str | None) -> tuple[str, str]:
    """Return base URL and key, or raise ``ConfigError`` with what is wrong with them."""
    url = check_http_url("--base-url", base_url)
    if url.rstrip("/").endswith("/v1"):
        say(f"note: --base-url ends in /v1, so calls go to {url.rstrip('/')}/v1/messages/batches: leave that /v1 out?")
    if api_key is None:
        if not is_local_url(url):
            raise ConfigError(f"{url} needs an API key: set ANTHROPIC_API_KEY, or give --api-key")
        return url, LOCAL_KEY
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise ConfigError("ANTHROPIC_API_KEY (or --api-key) must be printable ASCII without spaces")
    return url, api_key


def path_or_stdout(output: Path | None) -> Path | None:
    """Return where results go; ``-`` is standard output. ``ConfigError`` where it names no file."""
    if output is not None and not output.name:  # '', '.' and '/'
        raise ConfigError(f"-o {str(output)!r}: the output must be a file in a folder that exists")
    return None if output == Path("-") else output
