"""The three standard streams of a process whose caller closed some of them: supervisors, cron jobs, `>&-`.

The next file that is opened gets the number of a closed one. A database or a socket would be written into by the
next words, and the event loop aborts the process when it closes such a number.
"""

import os
import sys


def hold_closed(*, has_data: bool) -> None:
    """Open each stream that is closed: nothing comes in, words go nowhere, and data cannot be written.

    So a command whose data would be lost says so and fails, as it does on a full disk. A server has none to lose.
    """
    for number, mode in enumerate((os.O_RDWR, os.O_RDONLY if has_data else os.O_RDWR, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the least number that is free, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above
