"""Bugs planted where something secret may show, or may be told apart from nothing."""

from tests.planted.bug import Bug

ECHO = "tests/simulation/test_echo.py"

SECRET = [
    Bug(
        "what a refused carrier's server repeats goes to the log",
        "dispatch/carrier_creating.py",
        "await _shown(told, packing, packed.sent) if isinstance(told, Held) else told",
        "told",
        ECHO,
    ),
    Bug(
        "words that repeat a request are looked for in the first part of a create",
        "dispatch/carrier_creating.py",
        "            if shown is not held:\n                break\n",
        "            break\n",
        ECHO,
    ),
    Bug(
        "what is said of a carrier's batch goes to the log",
        "dispatch/carrier_place.py",
        "outcome if searched else without_words(outcome)",
        "outcome",
        ECHO,
    ),
    Bug(
        "what a stream repeats as it breaks goes to the log",
        "dispatch/interactive.py",
        "lambda outcome: self._learn(without_echo(outcome, call.params), began, streamed=True)",
        "lambda outcome: self._learn(outcome, began, streamed=True)",
        ECHO,
    ),
    Bug(
        "a foreign batch is found before it is refused",
        "store/sqlite_batches.py",
        '    rows = batches(connection, "workspace = ? and id = ?", (workspace, batch_id))\n',
        '    rows = [each for each in batches(connection, "id = ?", (batch_id,)) if each.workspace == workspace]\n',
        "tests/unit/test_sqlite_alike.py",
    ),
]
