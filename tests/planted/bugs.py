"""Bugs planted on purpose: each must make the tests it names fail. The shipped package knows nothing of them."""

from tests.planted.blob_bugs import BLOBS
from tests.planted.bug import Bug
from tests.planted.call_bugs import CALLS
from tests.planted.carrier_bugs import CARRIERS
from tests.planted.chat_bugs import CHAT
from tests.planted.client_bugs import CLIENT
from tests.planted.cluster_bugs import CLUSTER
from tests.planted.dash_bugs import DASHBOARD
from tests.planted.flow_bugs import FLOW
from tests.planted.hook_bugs import HOOKS_BUGS
from tests.planted.intake_bugs import INTAKE
from tests.planted.memory_bugs import MEMORY
from tests.planted.object_bugs import OBJECTS
from tests.planted.postgres_bugs import POSTGRES
from tests.planted.safety_bugs import SAFE
from tests.planted.secret_bugs import SECRET
from tests.planted.seen_bugs import SEEN
from tests.planted.server_bugs import SERVERS
from tests.planted.simulator_bugs import SIMULATOR
from tests.planted.sqlite_bugs import SQLITE
from tests.planted.tenant_bugs import TENANT
from tests.planted.wire_bugs import WIRE

SAFETY = "tests/simulation/test_safety.py"
LIFE = "tests/simulation/test_life.py"
LANE = "tests/simulation/test_lanes.py"

DISPATCH = [
    Bug(
        "a slot is free before its commit",
        "dispatch/dispatcher.py",
        "                turn = await self._turn([settlement for _, settlement in settled], picked)\n",
        "                asyncio.create_task(self._turn([settlement for _, settlement in settled], {}))\n"
        "                turn = await self._turn([], picked)\n",
        SAFETY,
    ),
    Bug(
        "attempts in flight do not hold their slot",
        "dispatch/slots.py",
        """        left = server.ceiling - server.running - server.settled - server.calls
        return min(left, self.limiter.room(self.running + self.settled + self.calls, now)) if left > 0 else 0
""",
        """        left = server.ceiling - max(0, server.running - 1) - server.settled - server.calls
        used = max(0, self.running - 1) + self.settled + self.calls
        return min(left, self.limiter.room(used, now)) if left > 0 else 0
""",
        f"{SAFETY} {LIFE}",
    ),
    Bug(
        "what waits for a later turn does not hold its slot",
        "dispatch/slots.py",
        """        left = server.ceiling - server.running - server.settled - server.calls
        return min(left, self.limiter.room(self.running + self.settled + self.calls, now)) if left > 0 else 0
""",
        """        left = server.ceiling - server.running - server.calls
        return min(left, self.limiter.room(self.running + self.calls, now)) if left > 0 else 0
""",
        SAFETY,
    ),
    Bug(
        "what a lost answer leased is never given back",
        "dispatch/dispatcher.py",
        "                self._doubt.is_there = True\n",
        "",
        SAFETY,
    ),
    Bug(
        "what runs is given back after a lost answer",
        "dispatch/doubt.py",
        " for lease in held if not self._knows(lease.key)]",
        " for lease in held]",
        SAFETY,
    ),
    Bug(
        "what waits for its commit is given back after a lost answer",
        "dispatch/dispatcher.py",
        "return self._attempts.runs(request) or any(attempt.lease.key == request for attempt, _ in self._settled)",
        "return self._attempts.runs(request)",
        SAFETY,
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
        "self._attempts.alive_until = until",
        'self._attempts.alive_until = float("inf")',
        SAFETY,
    ),
    Bug(
        "a drain does not wait for what is in flight",
        "dispatch/dispatcher.py",
        "while not (self._draining and self._is_done()):",
        "while not self._draining:",
        SAFETY,
    ),
    Bug(
        "a drain leases on",
        "dispatch/dispatcher.py",
        "return not self._draining and now < self._attempts.alive_until",
        "return now < self._attempts.alive_until",
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
        "            self._cut_overdue()  # whatever the store can do\n",
        "",
        LIFE,
    ),
    Bug(
        "calls in flight are cut at the deadline, without grace",
        "dispatch/attempts.py",
        "EXPIRY_GRACE = 30.0",
        "EXPIRY_GRACE = 0.0",
        LIFE,
    ),
    Bug(
        "a backlog that cannot be read is asked for without end",
        "dispatch/queue.py",
        "        self._refresh_at = self._clock.monotonic() + self._refresh_seconds\n"
        "        backlog = await self._work.backlog(self._clock.now())\n",
        "        backlog = await self._work.backlog(self._clock.now())\n"
        "        self._refresh_at = self._clock.monotonic() + self._refresh_seconds\n",
        SAFETY,
    ),
    Bug(
        "possible duplicates are not marked",
        "domain/ledger.py",
        '"possible_duplicate": paid > 0,',
        '"possible_duplicate": paid > 1,',
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
        "dispatch/attempts.py",
        "if zlib.crc32(params) != lease.params.crc:",
        "if False:",
        SAFETY,
    ),
]

LANES = [
    Bug(
        "a held lane holds its neighbours",
        "dispatch/lanes.py",
        "        ways = self._ways.get(model) or self._find(model)\n        if len(ways.targets) == 1:",
        "        ways = self._ways.get(model) or self._find(model)\n"
        "        if any(lane.slots.limiter.resumes_at(now) for lane in self):\n            return ()\n"
        "        if len(ways.targets) == 1:",
        LANE,
    ),
    Bug(
        "each lane has all the slots of its upstream",
        "dispatch/slots.py",
        "return min(left, self.limiter.room(self.running + self.settled + self.calls, now)) if left > 0 else 0",
        "return self.limiter.room(self.running + self.settled + self.calls, now)",
        LANE,
    ),
    Bug(
        "the fallback works beside its targets",
        "dispatch/lanes.py",
        "ways.fallback and self._all_away(ways.targets, now):",
        "ways.fallback:",
        LANE,
    ),
    Bug("weights are forgotten", "dispatch/lanes.py", "lane.slots.calls) / weight", "lane.slots.calls)", LANE),
    Bug(
        "a short pick keeps its slots",
        "dispatch/queue.py",
        "                lanes.pop().slots.unpick()\n",
        "                lanes.pop()\n",
        LIFE,
    ),
    Bug(
        "a short pick is forgotten until the backlog is read again",
        "dispatch/queue.py",
        "].due_at = short.next_ready_at\n",
        "].due_at = None\n",
        LIFE,
    ),
]

LANES += [
    Bug(
        "batches use an upstream outside its hours",
        "dispatch/slots.py",
        "        if self.paused or not server.is_open():\n",
        "        if self.paused:\n",
        LANE,
    ),
    Bug(
        "a night ends at midnight",
        "domain/windows.py",
        " or ((day - 1) % 7 in self.days and minute < self.end)",
        "",
        "tests/unit/test_windows.py",
    ),
    Bug(
        "requests of batches are spent on finding out whether a server is well",
        "dispatch/slots.py",
        "        self._canary = canary\n",
        "        self._canary = False\n",
        LANE,
    ),
    Bug(
        "canaries fly to lanes that nobody wants",
        "dispatch/slots.py",
        "        self._wanted = False\n        return True\n",
        "        return True\n",
        LANE,
    ),
    Bug(
        "a call that waits does not have its lane looked at",
        "dispatch/interactive.py",
        "        self._slots.server.freed()  # a lane",
        "        # a lane",
        LANE,
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
        "if self._probing or (not is_full and self._failed_in_a_row >= max(FAILURES_TO_HOLD, self.limit)):",
        "if self._probing:",
        f"tests/unit/test_limiter.py {LIFE}",
    ),
    Bug(
        "workspaces do not share",
        "domain/fairness.py",
        "        self._workspaces.begin(workspace, picks, charge / self._weight(workspace))\n",
        "        self._workspaces.begin(workspace, picks, 0.0)\n",
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

BUGS = [
    *DISPATCH,
    *LANES,
    *CHAT,
    *CALLS,
    *FLOW,
    *CARRIERS,
    *RULES,
    *CLIENT,
    *CLUSTER,
    *BLOBS,
    *TENANT,
    *INTAKE,
    *MEMORY,
    *SQLITE,
    *POSTGRES,
    *OBJECTS,
    *SAFE,
    *SECRET,
    *HOOKS_BUGS,
    *WIRE,
    *SIMULATOR,
    *SERVERS,
    *SEEN,
    *DASHBOARD,
]
