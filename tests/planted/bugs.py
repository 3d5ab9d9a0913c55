"""Bugs planted on purpose: each must make the tests it names fail. The shipped package knows nothing of them."""

from tests.planted.blob_bugs import BLOBS
from tests.planted.bug import Bug
from tests.planted.intake_bugs import INTAKE
from tests.planted.memory_bugs import MEMORY

SAFETY = "tests/simulation/test_safety.py"
LIFE = "tests/simulation/test_life.py"

DISPATCH = [
    Bug(
        "a slot is free before its commit",
        "dispatch/dispatcher.py",
        "                turn = await self._turn([settlement for _, settlement in settled], picks)\n",
        "                asyncio.create_task(self._turn([settlement for _, settlement in settled], []))\n"
        "                turn = await self._turn([], picks)\n",
        SAFETY,
    ),
    Bug(
        "settled attempts do not hold their slot while a turn runs",
        "dispatch/dispatcher.py",
        "return self._limiter.room(len(self._running), now)",
        "return self._limiter.room(max(0, len(self._running) - 1), now)",
        f"{SAFETY} {LIFE}",
    ),
    Bug(
        "a failed commit forgets its settlements",
        "dispatch/dispatcher.py",
        "                picks = []\n                await asyncio.sleep(STORE_PAUSE)",
        "                settlements = picks = []\n                await asyncio.sleep(STORE_PAUSE)",
        SAFETY,
    ),
    Bug(
        "an owner whose heartbeat is too old goes on sending",
        "dispatch/dispatcher.py",
        "self._alive_until = sent + self._pace.lease",
        'self._alive_until = float("inf")',
        SAFETY,
    ),
    Bug(
        "a drain does not wait for what is in flight",
        "dispatch/dispatcher.py",
        "while not (self._draining and not self._running and not self._settled):",
        "while not self._draining:",
        SAFETY,
    ),
    Bug(
        "a drain leases on",
        "dispatch/dispatcher.py",
        "if self._draining or now >= self._alive_until:",
        "if now >= self._alive_until:",
        SAFETY,
    ),
    Bug(
        "a renewed lease sends the running call again",
        "dispatch/running.py",
        "            running.lease = attempt.lease\n            return False\n",
        "            pass\n",
        SAFETY,
    ),
    Bug(
        "calls in flight are never cut at the deadline",
        "dispatch/upkeep.py",
        "        self._cut_overdue()\n",
        "",
        LIFE,
    ),
    Bug(
        "calls in flight are cut at the deadline, without grace",
        "dispatch/dispatcher.py",
        "EXPIRY_GRACE = 30.0",
        "EXPIRY_GRACE = 0.0",
        LIFE,
    ),
    Bug(
        "possible duplicates are not marked",
        "dispatch/sealer.py",
        '"possible_duplicate": final.paid > 1 or final.deaths > 0,',
        '"possible_duplicate": final.paid > 1,',
        SAFETY,
    ),
    Bug(
        "a seal without an answer deletes the files it may have named",
        "dispatch/sealer.py",
        "    ended = await upkeep.seal(batch.id, sealed, Counts(**files.kinds), clock.now())\n    if ended is None:\n",
        "    ended = None\n"
        "    try:\n"
        "        ended = await upkeep.seal(batch.id, sealed, Counts(**files.kinds), clock.now())\n"
        "    except BaseException:\n"
        "        for writer in writers:\n"
        "            await blobs.delete(writer.name)\n"
        "        raise\n"
        "    if ended is None:\n",
        SAFETY,
    ),
    Bug(
        "params that fail their checksum are sent",
        "dispatch/dispatcher.py",
        "if zlib.crc32(params) != lease.params.crc:",
        "if False:",
        SAFETY,
    ),
]

RULES = [
    Bug(
        "a free refusal counts as paid",
        "domain/retry.py",
        "return Retry(lease, ready_at, trace, lease.paid, lease.failures, lease.unknowns)",
        "return Retry(lease, ready_at, trace, lease.paid + 1, lease.failures + 1, lease.unknowns)",
        f"tests/unit/test_retry.py {LIFE}",
    ),
    Bug(
        "an unknown end is repeated without bound",
        "domain/retry.py",
        "MAX_UNKNOWNS = 2",
        "MAX_UNKNOWNS = 3",
        f"tests/unit/test_retry.py {LIFE}",
    ),
    Bug(
        "retry-after is ignored",
        "domain/retry.py",
        "asked = min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)",
        "asked = 0.0",
        f"tests/unit/test_retry.py {LIFE}",
    ),
    Bug(
        "an outage is never held",
        "domain/limiter.py",
        "if self._probing or self._failed_in_a_row >= max(FAILURES_TO_HOLD, self.limit):",
        "if self._probing:",
        f"tests/unit/test_limiter.py {LIFE}",
    ),
    Bug(
        "workspaces do not share",
        "domain/fairness.py",
        "        if workspace in self._workspaces:\n            self._workspaces[workspace] += slot_seconds\n",
        "",
        "tests/unit/test_fairness.py",
    ),
    Bug(
        "canceling moves an ended batch",
        "domain/batch.py",
        "        if self.status is Status.ENDED:\n            raise InvalidRequest(\n",
        "        if self.status is None:\n            raise InvalidRequest(\n",
        "tests/unit/test_batch.py",
    ),
]

BUGS = [*DISPATCH, *RULES, *MEMORY, *INTAKE, *BLOBS]
