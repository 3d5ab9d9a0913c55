"""Running a command's coroutine so that Ctrl-C and SIGTERM stop it the same way: by cancelling it, once."""

import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Stopped(BaseException):
    """SIGTERM came. A ``BaseException`` like ``KeyboardInterrupt``, which it stands beside."""


def complete(work: Coroutine[Any, Any, _T]) -> _T:
    """Run the coroutine to its end; ``KeyboardInterrupt`` or ``Stopped`` if a signal cancelled it."""

    import asyncio

    async def guarded() -> _T:
        task = asyncio.current_task()
        if task is not None and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise Stopped from None
