"""Bulk jobs against any server of the Message Batches API: ``run`` for whole jobs, helpers for users of an SDK.

    from batchyard.client import run

    async for result in run(requests, state="job"):
        print(result.custom_id, result.text)

Names are imported when they are asked for: the command line imports this package before it knows what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchyard.client.errors import BadInput as BadInput
    from batchyard.client.errors import ServerError as ServerError
    from batchyard.client.errors import WrongUse as WrongUse
    from batchyard.client.library import Result as Result
    from batchyard.client.library import run as run
    from batchyard.client.limits import Limits as Limits
    from batchyard.client.sdk import batches_of as batches_of
    from batchyard.client.sdk import join as join
    from batchyard.client.sdk import may_be_sent_again as may_be_sent_again
    from batchyard.client.sdk import to_send_again as to_send_again

_HOMES = {
    "BadInput": "errors",
    "Limits": "limits",
    "Result": "library",
    "ServerError": "errors",
    "WrongUse": "errors",
    "batches_of": "sdk",
    "join": "sdk",
    "may_be_sent_again": "sdk",
    "run": "library",
    "to_send_again": "sdk",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the same names, once


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
