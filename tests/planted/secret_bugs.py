"""Bugs planted where something secret may show, or may be told apart from nothing."""

from tests.planted.bug import Bug

STEPS = "tests/unit/test_intake_steps.py"
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
        "lambda outcome: self._learn(call, without_echo(outcome, call.params), began, streamed=True)",
        "lambda outcome: self._learn(call, outcome, began, streamed=True)",
        ECHO,
    ),
    Bug(
        "a foreign batch is found before it is refused",
        "store/sqlite_batches.py",
        '    rows = batches(connection, "workspace = ? and id = ?", (workspace, batch_id))\n',
        '    rows = [each for each in batches(connection, "id = ?", (batch_id,)) if each.workspace == workspace]\n',
        "tests/unit/test_sqlite_alike.py",
    ),
    Bug(
        "small values are read in one step, however many there are",
        "intake/body.py",
        "            most -= taken\n",
        "            pass\n",
        STEPS,
    ),
    Bug(
        "bodies that come together are all read in one turn of the loop",
        "web/creates.py",
        "        async with self._turn:\n",
        "        if self._turn:\n",
        "tests/wire/test_turns.py",
    ),
    Bug(
        "a string ends at its first quote, though it is escaped",
        "domain/splice.py",
        '    if end >= 0 and raw.find(b"\\\\", at, end) < 0:\n',
        "    if end >= 0:\n",
        "tests/unit/test_splice.py",
    ),
    Bug(
        "a body may have members without end",
        "intake/body.py",
        "        self._members += 1\n",
        "",
        STEPS,
    ),
    Bug(
        "every member that a request has is kept",
        "intake/requests.py",
        "        return _members.decode(request)\n",
        "        msgspec.json.decode(request, type=dict[str, msgspec.Raw])\n        return _members.decode(request)\n",
        STEPS,
    ),
    Bug(
        "marks are looked for in any number of blocks",
        "intake/prefix.py",
        'if bytes(messages).count(b"{") > min(MOST_OPENERS, 100 + len(messages) // FEWEST_BYTES):',
        "if False:",
        STEPS,
    ),
    Bug(
        "messages that are none are all read",
        "intake/prefix.py",
        "    _objects.decode(json)\n",
        "",
        STEPS,
    ),
]
