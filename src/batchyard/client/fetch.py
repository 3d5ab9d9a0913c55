"""The results of one batch as they are: to a writer, or to a file that a cut download is resumed in."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from batchyard.client.api import Api
from batchyard.client.download import Download
from batchyard.client.durable import synced
from batchyard.client.errors import BadReply, WrongUse


async def fetch(api: Api, batch_id: str, write: Callable[[bytes], object]) -> None:
    """Write each result line."""
    async for line, _ in Download(api, batch_id).lines():
        write(line + b"\n")


async def fetch_to(api: Api, batch_id: str, output: Path, *, force: bool) -> int:
    """Write the results to a file that has its name only when it is whole; return the lines in it.

    What an earlier, stopped call left beside it is kept, and only the rest is asked for.
    """
    _check(output, force=force)
    partial = output.with_name(f"{output.name}.{quote(batch_id, safe='')}.partial")
    lines = await resume(api, batch_id, partial)
    partial.replace(output)
    return lines


async def resume(api: Api, batch_id: str, path: Path) -> int:
    """Write the results to a file, after those that an earlier, stopped call left there; return the lines in it."""
    download = Download(api, batch_id)
    with path.open("a+b") as file:
        lines = _resume(file, download)
        async for line, _ in download.lines():
            file.write(line + b"\n")
            lines += 1
        synced(file)
    return lines


def _check(output: Path, *, force: bool) -> None:
    if output.is_dir() or not output.parent.is_dir():
        raise WrongUse(f"{output}: the output must be a file in a folder that exists")
    if output.exists() and not force:
        raise WrongUse(f"{output} exists: choose another output, or overwrite it with --force")


def _resume(file: BinaryIO, download: Download) -> int:
    """Count the whole lines that are there already, and cut off what follows the last of them."""
    file.seek(0)
    lines = kept = 0
    try:
        for line in file:
            if not line.endswith(b"\n"):
                break
            download.skip(line)
            kept += len(line)
            lines += 1
    except BadReply:  # not what a download left: what follows is asked for again
        pass
    file.truncate(kept)
    return lines
