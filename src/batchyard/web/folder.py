"""Check and backup of the data folder through the server that holds it.

No API key opens these: what is asked for is a proof that the caller may read the folder itself, the token in its
``owner.lock``. So nobody who may only speak HTTP can have a file written.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from batchyard.domain.errors import DataRefused, Forbidden, InvalidRequest
from batchyard.web.bodies import Bodies
from batchyard.web.calls import Answer, ApiCall, Sendable
from batchyard.web.hosts import Hosts

TOKEN_HEADER = "batchyard-owner"  # nosec B105 # noqa: S105 the name of a header
LARGEST_BODY = 16 * 1024


class _To(msgspec.Struct, forbid_unknown_fields=True):
    to: str


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A data folder that is this server's: its token, and what can be done with it, in a thread. They return what
    becomes JSON, and raise ``DataRefused``."""

    token: str
    check: Callable[[], Any]
    backup: Callable[[Path], Any]


class FolderCalls:
    """``POST /batchyard/v1/folder/check`` and ``…/backup``."""

    def __init__(self, hosts: Hosts, folder: OwnFolder | None) -> None:
        self._hosts, self._folder = hosts, folder
        self._bodies = Bodies(LARGEST_BODY)
        self._busy = asyncio.Lock()

    def route(self, segments: list[str]) -> dict[str, Callable[[ApiCall], Awaitable[Sendable]]] | None:
        """Return what can be done at the path, or None where it is none of ours."""
        folder = self._folder
        match segments:
            case ["batchyard", "v1", "folder", "check"] if folder:
                return {"POST": lambda call: self._do(call, folder, self._checking(folder))}
            case ["batchyard", "v1", "folder", "backup"] if folder:
                return {"POST": lambda call: self._do(call, folder, self._backing_up(folder))}
        return None

    async def _do(self, call: ApiCall, folder: OwnFolder, work: Callable[[bytes], Awaitable[Any]]) -> Answer:
        self._hosts.base_url(call)  # refuses a foreign name: a browser page could ask through one
        if not hmac.compare_digest(call.headers.get(TOKEN_HEADER, "").encode(), folder.token.encode()):
            raise Forbidden("This is for whoever may read the server's data folder: use `batchyard check` or `backup`.")
        async with self._bodies.read(call) as body:
            try:
                async with self._busy:  # one at a time: each reads everything
                    return Answer(msgspec.json.encode(await work(body)))
            except DataRefused as refused:
                raise InvalidRequest(str(refused)) from refused

    def _checking(self, folder: OwnFolder) -> Callable[[bytes], Awaitable[Any]]:
        return lambda _: asyncio.to_thread(folder.check)

    def _backing_up(self, folder: OwnFolder) -> Callable[[bytes], Awaitable[Any]]:
        async def back_up(body: bytes) -> Any:
            try:
                to = Path(msgspec.json.decode(body, type=_To).to)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
                raise InvalidRequest('The body must be {"to": "/a/folder"}.') from None
            if not to.is_absolute():
                raise InvalidRequest("to: name an absolute path; the server runs in a folder of its own.")
            return await asyncio.to_thread(folder.backup, to)

        return back_up
