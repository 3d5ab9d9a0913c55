"""Bugs for the memory store: what a store can get wrong, and the contract test that must see it."""

from tests.planted.bug import Bug

CREATE = "tests/contract/test_store_create.py"
REPEAT = "tests/contract/test_store_repeat.py"
READS = "tests/contract/test_store_reads.py"
CANCEL = "tests/contract/test_store_cancel_delete.py"
LEASE = "tests/contract/test_store_lease.py"
SETTLE = "tests/contract/test_store_settle.py"
OWNERS = "tests/contract/test_store_owners.py"
RIPE = "tests/contract/test_store_ripe.py"
CARRIERS = "tests/contract/test_store_carriers.py"
FINALS = "tests/contract/test_store_finals.py"
SEAL = "tests/contract/test_store_seal.py"
UPKEEP = "tests/contract/test_store_upkeep.py"

REPEATS = "store/memory_repeats.py"
VERBS = "store/memory.py"
LISTS = "store/memory_views.py"
ROWS = "store/memory_batch.py"

MEMORY = [
    Bug(
        "equal times give equal times", VERBS, "self._last_created_at + _MICROSECOND)", "self._last_created_at)", CREATE
    ),
    Bug(
        "the deadline stays when the creation moves",
        VERBS,
        "new.expires_at + (created_at - new.created_at)",
        "new.expires_at",
        CREATE,
    ),
    Bug("a repeat is not known", REPEATS, "if origin.retry >= 1 or overtaken:", "if overtaken:", REPEAT),
    Bug(
        "an overtaken first is not known",
        REPEATS,
        "if origin.retry >= 1 or overtaken:",
        "if origin.retry >= 1:",
        REPEAT,
    ),
    Bug(
        "what overtook may be as old as it likes",
        REPEATS,
        " and stored.batch.created_at >= _moment(origin.began_at)",
        "",
        REPEAT,
    ),
    Bug("any twin overtakes", REPEATS, "overtaken = stored.origin.retry >= 1 and", "overtaken =", REPEAT),
    Bug(
        "a repeat may have another body",
        REPEATS,
        "        if stored.origin.body_sha256 != origin.body_sha256:\n            continue\n",
        "",
        REPEAT,
    ),
    Bug(
        "a repeat is known too long",
        REPEATS,
        "REPEAT_WINDOW = timedelta(minutes=10)",
        "REPEAT_WINDOW = timedelta(minutes=11)",
        REPEAT,
    ),
    Bug("an idempotency key is known too long", REPEATS, "timedelta(hours=24)", "timedelta(hours=25)", REPEAT),
    Bug("another caller is the same", REPEATS, " and stored.origin.caller == origin.caller", "", REPEAT),
    Bug("another workspace is the same", REPEATS, "stored.batch.workspace == new.workspace and ", "", REPEAT),
    Bug(
        "the oldest of several repeats is given",
        REPEATS,
        "in reversed(batches.values()):\n        if stored.batch.created_at <",
        "in batches.values():\n        if stored.batch.created_at <",
        REPEAT,
    ),
    Bug(
        "the defence comes before the idempotency key",
        REPEATS,
        "_same_key(batches, new, origin) or (_repeated(batches, new, origin) if defend else None)",
        "(_repeated(batches, new, origin) if defend else None) or _same_key(batches, new, origin)",
        REPEAT,
    ),
    Bug(
        "an idempotency key needs the defence",
        REPEATS,
        "_same_key(batches, new, origin) or (_repeated(batches, new, origin) if defend else None)",
        "(_same_key(batches, new, origin) or _repeated(batches, new, origin)) if defend else None",
        REPEAT,
    ),
    Bug(
        "a key with another body is given the first batch",
        REPEATS,
        "if stored.origin.body_sha256 == origin.body_sha256:\n                return stored",
        "if stored:\n                return stored",
        REPEAT,
    ),
    Bug(
        "a batch is not scoped to its workspace",
        VERBS,
        "if stored is None or stored.batch.workspace != workspace:",
        "if stored is None:",
        f"{READS} {CANCEL}",
    ),
    Bug("a page is not scoped to its workspace", LISTS, " if stored.batch.workspace == workspace]", "]", READS),
    Bug("after is inclusive", LISTS, "bisect_left(ids, after)", "bisect_right(ids, after)", READS),
    Bug("before is inclusive", LISTS, "bisect_right(ids, before)", "bisect_left(ids, before)", READS),
    Bug(
        "before starts from the newest",
        LISTS,
        "inside[:limit] if after is None and before is not None else inside[-limit:]",
        "inside[-limit:]",
        READS,
    ),
    Bug(
        "both cursors walk from before",
        LISTS,
        "if after is None and before is not None",
        "if before is not None",
        READS,
    ),
    Bug(
        "a full page always has more", LISTS, "has_more=len(shown) < len(inside)", "has_more=len(shown) == limit", READS
    ),
    Bug("a page is oldest first", LISTS, "Page(shown[::-1],", "Page(shown,", READS),
    Bug("a running batch is deleted", VERBS, "        stored.batch.check_deletable()\n", "", CANCEL),
    Bug(
        "a cancel is not kept",
        VERBS,
        "        stored.batch = stored.batch.begin_cancel(now)\n        return stored.batch\n",
        "        return stored.batch.begin_cancel(now)\n",
        CANCEL,
    ),
    Bug(
        "lease ignores cancel",
        ROWS,
        "is_open = batch.closing is None and batch.status",
        "is_open = batch.status",
        f"{CANCEL} {RIPE}",
    ),
    Bug("lease ignores the deadline", ROWS, " and now < batch.expires_at", "", LEASE),
    Bug(
        "lease ignores the retry time",
        ROWS,
        "while waiting and waiting[0][0] <= now:",
        "while waiting:",
        LEASE,
    ),
    Bug(
        "fresh requests go before retries",
        ROWS,
        "seqs += [fresh.popleft() for _ in range(min(len(fresh), limit - len(seqs)))]",
        "seqs = [fresh.popleft() for _ in range(min(len(fresh), limit - len(seqs)))] + seqs",
        LEASE,
    ),
    Bug("retries go in the order of their times", ROWS, "        due.sort(key=lambda entry: entry[1])\n", "", LEASE),
    Bug(
        "retries over the limit are lost",
        ROWS,
        "        for entry in due[limit:]:\n            heapq.heappush(waiting, entry)\n",
        "",
        LEASE,
    ),
    Bug(
        "a limit counts fresh requests only",
        ROWS,
        "min(len(fresh), limit - len(seqs))",
        "min(len(fresh), limit)",
        LEASE,
    ),
    Bug("the attempt does not grow", ROWS, "attempt=row.lease.attempt + 1)", "attempt=1)", f"{LEASE} {SETTLE}"),
    Bug(
        "the backlog has batches in flight",
        ROWS,
        "            if fresh or waiting:\n",
        "            waiting = waiting or [(self.batch.created_at, 0)]\n            if True:\n",
        LEASE,
    ),
    Bug(
        "the backlog has overdue batches",
        VERBS,
        "            if stored.leasable(now)\n",
        "            if stored.batch.closing is None\n",
        LEASE,
    ),
    Bug(
        "the next retry time is any",
        ROWS,
        "self.batch.created_at if fresh else waiting[0][0]",
        "self.batch.created_at if fresh else waiting[-1][0]",
        LEASE,
    ),
    Bug(
        "fence on the attempt dropped",
        VERBS,
        "if row is None or row.lease.attempt != settlement.lease.attempt:",
        "if row is None:",
        SETTLE,
    ),
    Bug(
        "fence on the owner dropped",
        VERBS,
        "held = self._leased.get(owner, {})",
        "held = next((h for h in self._leased.values() if settlement.lease.key in h), {})",
        SETTLE,
    ),
    Bug("a settlement leaves the lease", VERBS, "        del held[settlement.lease.key]\n", "", SETTLE),
    Bug(
        "stale settlements are not told",
        VERBS,
        "                stale.append(settlement)\n",
        "                pass\n",
        SETTLE,
    ),
    Bug(
        "picks come before settlements",
        VERBS,
        "        stale: list[Settlement] = []\n",
        "        leases = [lease for pick in picks for lease in self._lease(owner, pick, now)]\n        picks = []\n"
        "        stale: list[Settlement] = []\n",
        SETTLE,
    ),
    Bug(
        "a retry in a closing batch waits for ever",
        ROWS,
        "if self.batch.closing is None:\n                    heapq",
        "if self.batch:\n                    heapq",
        SETTLE,
    ),
    Bug(
        "a retry in an expired batch is canceled",
        ROWS,
        "self._finish(row, Expired() if self.batch.closing is Closing.EXPIRED else Canceled())",
        "self._finish(row, Canceled())",
        SETTLE,
    ),
    Bug(
        "a retry forgets what it paid", ROWS, "row.lease, paid=settlement.paid, failures", "row.lease, failures", SETTLE
    ),
    Bug(
        "the last request counts before the seal",
        "domain/batch.py",
        "        if self.processing <= 1:\n            return self\n",
        "",
        SETTLE,
    ),
    Bug(
        "counts do not move", ROWS, "counts=self.batch.counts.settled(kind(result))", "counts=self.batch.counts", SETTLE
    ),
    Bug(
        "ripe names batches with open requests",
        VERBS,
        "[name for name, stored in touched.items() if stored.ripe]",
        "list(touched)",
        RIPE,
    ),
    Bug(
        "a closing batch waits for its open requests",
        ROWS,
        "(self.pending == 0 or self.batch.closing is not None)",
        "self.pending == 0",
        RIPE,
    ),
    Bug("a batch is ripe with a call in flight", ROWS, "            and self._leased == 0\n", "", f"{RIPE} {SEAL}"),
    Bug(
        "a batch expires after its deadline",
        "domain/batch.py",
        "or now < self.expires_at:",
        "or now <= self.expires_at:",
        RIPE,
    ),
    Bug("expire tells of a batch again and again", VERBS, "if batch is not stored.batch:", "if batch.closing:", RIPE),
    Bug("expire is not kept", VERBS, "                stored.batch = batch\n", "", RIPE),
    Bug(
        "reclaim forgets that it may be paid",
        ROWS,
        "self.release(row, now, paid=1)",
        "self.release(row, now, paid=0)",
        OWNERS,
    ),
    Bug(
        "reclaim forgets the death",
        ROWS,
        "        row.lease = structs.replace(row.lease, deaths=row.lease.deaths + 1)\n",
        "",
        OWNERS,
    ),
    Bug(
        "reclaim leaves the lease",
        VERBS,
        "rows = self._leased.pop(owner, {})",
        "rows = self._leased.get(owner, {})",
        OWNERS,
    ),
    Bug(
        "reclaim remembers the owner",
        VERBS,
        "if self._owners.pop(owner, None) is",
        "if self._owners.get(owner) is",
        OWNERS,
    ),
    Bug(
        "an owner that only leases is never dead",
        VERBS,
        "            self._owners.setdefault(owner, now)\n",
        "",
        OWNERS,
    ),
    Bug("a lease is a heartbeat", VERBS, "self._owners.setdefault(owner, now)", "self._owners[owner] = now", OWNERS),
    Bug(
        "an owner lives a moment too long",
        VERBS,
        "now - beaten_at < self._lease_time",
        "now - beaten_at <= self._lease_time",
        OWNERS,
    ),
    Bug(
        "an owner is dead a moment too early",
        VERBS,
        "now - beaten_at > self._lease_time",
        "now - beaten_at >= self._lease_time",
        OWNERS,
    ),
    Bug(
        "open requests of an expired batch are canceled",
        ROWS,
        "(Expired() if closing is Closing.EXPIRED else Canceled())",
        "Canceled()",
        FINALS,
    ),
    Bug(
        "arrivals are the order of requests",
        ROWS,
        "row.result, row.arrival = result, self._arrived",
        "row.result, row.arrival = result, row.lease.seq + 1",
        FINALS,
    ),
    Bug(
        "the ledger keeps the last attempt only",
        ROWS,
        "row.traces.append(settlement.trace)",
        "row.traces = [settlement.trace]",
        FINALS,
    ),
    Bug("finals come in one slice", ROWS, "SLICE = 1000", "SLICE = 1000000", FINALS),
    Bug(
        "the last slice of finals is lost",
        ROWS,
        "range(0, len(self.rows), SLICE)",
        "range(0, len(self.rows) - len(self.rows) % 999, SLICE)",
        FINALS,
    ),
    Bug("a seal believes any counts", VERBS, "        assert counts == recount, ", "        assert True, ", SEAL),
    Bug("a batch is sealed twice", VERBS, "        del self._running[batch_id]\n", "", f"{SEAL} {RIPE}"),
    Bug(
        "a sweep takes all at once", VERBS, "swept = min(limit, len(self._doomed))", "swept = len(self._doomed)", UPKEEP
    ),
    Bug("a seal leaves its rows", VERBS, "        self._doomed.extend(stored.rows)\n", "", UPKEEP),
    Bug(
        "archive takes young batches",
        VERBS,
        "stored.batch.has_results and stored.batch.created_at < created_before",
        "stored.batch.has_results",
        UPKEEP,
    ),
    Bug(
        "archive takes the limit itself",
        VERBS,
        "stored.batch.created_at < created_before",
        "stored.batch.created_at <= created_before",
        UPKEEP,
    ),
    Bug(
        "archive returns batches without their blobs",
        VERBS,
        "                taken.append(stored.batch)\n                stored.batch = stored.batch.archive(now)\n",
        "                stored.batch = stored.batch.archive(now)\n                taken.append(stored.batch)\n",
        UPKEEP,
    ),
    Bug(
        "archive takes batches that run",
        "domain/batch.py",
        "return self.status is Status.ENDED and self.archived_at is None",
        "return self.archived_at is None",
        UPKEEP,
    ),
    Bug(
        "a closing batch's body may go",
        VERBS,
        "    if batch.status is not Status.ENDED:\n        return {batch.body}",
        "    if batch.status is Status.IN_PROGRESS:\n        return {batch.body}",
        UPKEEP,
    ),
    Bug(
        "a sealed file may go",
        VERBS,
        "{batch.body, batch.sealed.results, batch.sealed.index, batch.sealed.ledger}",
        "{batch.body, batch.sealed.results, batch.sealed.index}",
        UPKEEP,
    ),
    Bug(
        "a carrier is fitted to a batch that has ended",
        ROWS,
        "if not self.leasable(now):  # once",
        "if limit < 0:  # once",
        CARRIERS,
    ),
]
