"""Bugs planted in what travels to servers that take batches: orphans, repeats, requests lost on the way."""

from tests.planted.bug import Bug

STEPS = "tests/unit/test_carrier.py"
SIMULATED = "tests/simulation/test_carriers.py"
WIRE = "tests/contract/test_upstream_batches.py"
STORES = "tests/contract/test_store_carriers.py"

CARRIERS = [
    Bug(
        "a create whose answer was lost is made again at once",
        "domain/carrier.py",
        "    if course.lost_at is None:\n        return Step.CREATE",
        "    if course.lost_at is None or wanted:\n        return Step.CREATE",
        SIMULATED,
    ),
    Bug(
        "a batch that was only found is cancelled as ours",
        "domain/carrier.py",
        "    if course.upstream_id is None:\n        return _not_sent(course, now)\n",
        "    if course.followed is None:\n        return _not_sent(course, now)\n",
        SIMULATED,
    ),
    Bug(
        "a carrier outlives its batch's deadline",
        "domain/carrier.py",
        "    if course.open and course.closing and now >= course.expires_at + GRACE:\n",
        "    if course.open and course.closing and now >= course.expires_at + FORGOTTEN_AFTER:\n",
        f"{STEPS} {SIMULATED}",
    ),
    Bug(
        "a cancel of ours is not passed on",
        "domain/carrier.py",
        "    if not course.cancel_asked and (course.is_over(now) or not course.open):\n",
        "    if not course.cancel_asked and not course.open:\n",
        SIMULATED,
    ),
    Bug(
        "an adopted carrier is taken to be never sent",
        "dispatch/carrier.py",
        "            lost_at=self._tender.clock.now() if adopted and carrier.upstream_id is None else None,\n",
        "            lost_at=None,\n",
        SIMULATED,
    ),
    Bug(
        "an owner past its lease still creates",
        "dispatch/carrier_body.py",
        "    if not may_send():\n        raise LeaseOver\n",
        "",
        SIMULATED,
    ),
    Bug(
        "results of any batch prove it to be ours",
        "dispatch/carrier_collect.py",
        "        if not any(seq_of(self._carrier.id, line.custom_id) is not None for line in lines):\n"
        "            return Ended.FOREIGN\n",
        "",
        SIMULATED,
    ),
    Bug(
        "results that break off count as whole",
        "dispatch/carrier_collect.py",
        "                    return read if isinstance(read, Outcome) else self._end()\n",
        "                    return self._end()\n",
        SIMULATED,
    ),
    Bug(
        "requests without a line are taken as collected",
        "dispatch/carrier_errand.py",
        "open=collection.left, lacking=lacking)",
        "open=0, lacking=lacking)",
        SIMULATED,
    ),
    Bug(
        "a wrong key of ours holds nothing",
        "dispatch/carrier_place.py",
        "self._limiter.observe(outcome, self._clock.monotonic()) if isinstance(outcome, Held) else None\n",
        "None\n",
        SIMULATED,
    ),
    Bug(
        "after a hold every carrier sends its create again",
        "dispatch/carrier_place.py",
        "        if self._probe not in (None, carrier):\n            return PROBE_PAUSE\n",
        "",
        SIMULATED,
    ),
    Bug(
        "a carrier that was let through once stays the only one",
        "dispatch/carrier_errand.py",
        "            self.standby.let_go(self.carrier.id)\n",
        "            pass\n",
        SIMULATED,
    ),
    Bug(
        "full carriers are all of one size",
        "domain/carrier.py",
        "    return next((size for size in sizes if size not in taken), sizes[0])\n",
        "    return most\n",
        SIMULATED,
    ),
    Bug(
        "any number of carriers travel at once",
        "domain/carrier.py",
        "    if free < 1 or not ripe:\n",
        "    if not ripe:\n",
        SIMULATED,
    ),
    Bug(
        "a large batch takes every carrier that there is",
        "domain/carrier.py",
        "(free > 1 or slots < SLOTS_TO_KEEP_ONE or not under_way.get(group.workspace, 0))",
        "free",
        SIMULATED,
    ),
    Bug(
        "carriers are made out of the upstream's hours",
        "dispatch/carrier.py",
        " and place.is_open() and",
        " and",
        SIMULATED,
    ),
    Bug(
        "requests that travel in carriers are called one by one as well",
        "dispatch/queue.py",
        " and self._lanes.carried_by(ready.model) is None\n",
        "\n",
        SIMULATED,
    ),
    Bug(
        "a broken batch keeps the carriers of others from being made",
        "dispatch/carrier.py",
        '                stopped.stop(group.batch, "carrier", broken)\n                made = 0\n',
        "                raise StoreUnavailable(str(broken)) from broken\n",
        SIMULATED,
    ),
    Bug(
        "a carrier of a broken batch is tried for ever",
        "dispatch/carrier.py",
        " or self._tender.has_stopped(carrier):",
        ":",
        SIMULATED,
    ),
    Bug(
        "one 404 is believed",
        "domain/carrier.py",
        "ABSENCES = 3\n",
        "ABSENCES = 1\n",
        SIMULATED,
    ),
    Bug(
        "a create that broke half-way counts as one that may have been taken",
        "upstream/connection.py",
        "        if self._unsent and isinstance(exchanged, Unknown | Hung):\n"
        "            exchanged = NotStarted(exchanged.error)\n",
        "",
        WIRE,
    ),
    Bug(
        "a create is written whether the server reads or not",
        "upstream/connection.py",
        "        await self._writable.wait()\n",
        "        await asyncio.sleep(0)\n",
        WIRE,
    ),
    Bug(
        "a line of results may have any length",
        "upstream/lines.py",
        "            if len(self._tail) > self._most:",
        "            if len(self._tail) > self._most * 10**9:",
        WIRE,
    ),
    Bug(
        "an id of an upstream batch may lead to another path",
        "upstream/batches.py",
        '_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\\Z")\n',
        '_ID = re.compile(r"[^\\r\\n]*\\Z")\n',
        WIRE,
    ),
    Bug(
        "an errored line hands our key on",
        "domain/carrier_line.py",
        'body.replace(secret, b"[key]") if secret else body',
        "body",
        WIRE,
    ),
    Bug(
        "a carrier takes more bytes than it may",
        "store/sqlite_carriers.py",
        "    if fitting < len(leases):\n",
        "    if fitting < 0:\n",
        STORES,
    ),
]
