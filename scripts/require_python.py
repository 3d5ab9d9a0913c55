"""Say in one line that this Python is too old, before anything is made with it."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 this file is what checks it
    found = ".".join(str(part) for part in sys.version_info[:3])
    sys.exit(f"Batchyard needs Python 3.11 or newer; this is {found}. Try: make PYTHON=python3.12 setup")
