"""Options that several commands share, and the server they speak to: the one that was named, or this machine's."""

import re
from pathlib import Path
from typing import Annotated

import typer

from batchyard.cli.completion import known_batches
from batchyard.config import check_http_url, is_local_url
from batchyard.declared import ConfigError

DEFAULT_URL = "http://127.0.0.1:8787"
LOCAL_KEY = "local"
"""A server on this machine that has no keys yet takes any."""

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
    typer.Argument(metavar="BATCH", help="Id of the batch, such as msgbatch_01….", autocompletion=known_batches),
]
BatchIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BATCH",
        help="Ids of batches, such as msgbatch_01….",
        show_default=False,
        autocompletion=known_batches,
    ),
]
Input = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="Requests or rows, in any form of docs/cli.md; - is standard input."),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUTPUT", help="File for the results; standard output without it."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite OUTPUT if it exists.")]


def server(base_url: str, api_key: str | None) -> tuple[str, str]:
    """Return base URL and key, or raise ``ConfigError`` with what is wrong with them."""
    url = check_http_url("--base-url", base_url)
    if api_key is None:
        if not is_local_url(url):
            raise ConfigError(f"{url} needs an API key: set ANTHROPIC_API_KEY, or give --api-key")
        return url, LOCAL_KEY
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise ConfigError("ANTHROPIC_API_KEY (or --api-key) must be printable ASCII without spaces")
    return url, api_key


def path_or_stdout(output: Path | None) -> Path | None:
    """Return where results go; ``-`` is standard output."""
    return None if output == Path("-") else output
