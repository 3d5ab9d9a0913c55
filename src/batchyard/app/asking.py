"""Check and backup of a data folder: through the server that holds it, or on the folder itself when none does."""

import http.client
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from batchyard import backup, checkup
from batchyard.domain.errors import DataRefused
from batchyard.store import lock
from batchyard.web.folder import TOKEN_HEADER

T = TypeVar("T")


class _Error(msgspec.Struct):
    message: str


class _Envelope(msgspec.Struct):
    error: _Error


def check(folder: Path) -> checkup.Report:
    """Look at the folder. Blocks for as long as reading it all takes; raises ``DataRefused``."""
    return _asked(folder, "check", {}, checkup.Report) or checkup.look(folder)


def back_up(folder: Path, to: Path) -> backup.Copied:
    """Copy the folder. Blocks; raises ``DataRefused``."""
    to = to.resolve()
    if lock.holder(to) is not None:
        raise DataRefused(f"{to} is the data folder of a server that runs; name another folder.")
    return _asked(folder, "backup", {"to": str(to)}, backup.Copied) or backup.make(folder, to)


def _asked(folder: Path, verb: str, body: dict[str, str], kind: type[T]) -> T | None:
    """Return what the folder's server answers, None where none can be asked: reading beside a server is safe."""
    holder = lock.holder(folder)
    if holder is None or not holder.address or not holder.token:
        return None
    parts = urlsplit(holder.address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        headers = {TOKEN_HEADER: holder.token, "content-type": "application/json"}
        connection.request("POST", f"/batchyard/v1/folder/{verb}", msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    except OSError:  # in another container, perhaps, or just gone
        return None
    finally:
        connection.close()
    try:
        if answer.status == 200:
            return msgspec.json.decode(text, type=kind)
        message = msgspec.json.decode(text, type=_Envelope).error.message
    except msgspec.MsgspecError:
        return None  # whoever listens there now, it is not a server that knows this
    raise DataRefused(message)
