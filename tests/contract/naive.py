"""The store contract once more, as plainly as it can be said: flat lists, everything recounted at each look.

The memory store is compared with it, so that the model of all other stores has a model itself. It shares no decision
with the stores but the domain's.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from batchyard.domain.batch import Batch, Closing, Counts, Sealed, Status
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.ids import batch_id as new_id
from batchyard.domain.outcome import Finish, Retry, Settlement, Trace
from batchyard.domain.quota import Load
from batchyard.domain.request import Drafts, Lease, Origin, ParamsAt
from batchyard.domain.result import Canceled, Expired, Result, kind
from batchyard.ports import Final, LaneHistory, NewBatch, NewCarrier, Owner, Page, Pick, Ready, Short, Turn, Views

MICROSECOND = timedelta(microseconds=1)


@dataclass
class Request:
    """A row: pending without owner and result, leased with an owner, final with a result."""

    batch: str
    seq: int
    custom_id: str
    params: ParamsAt
    model: str
    place: int
    ready_at: datetime
    attempt: int = 0
    paid: int = 0
    failures: int = 0
    unknowns: int = 0
    deaths: int = 0
    owner: str | None = None
    result: Result | None = None
    settled_as: int = 0
    traces: list[Trace] = field(default_factory=list)

    @property
    def is_pending(self) -> bool:
        return self.owner is None and self.result is None


class NaiveStore:
    """A ``Store`` for a handful of requests."""

    def __init__(self, *, lease_seconds: float, entropy: Callable[[], int]) -> None:
        self.lease_time = timedelta(seconds=lease_seconds)
        self.entropy = entropy
        self.batches: list[Batch] = []
        self.origins: dict[str, Origin] = {}
        self.requests: list[Request] = []
        self.beats: dict[str, datetime] = {}
        self.given: list[datetime] = []
        self.sizes: dict[str, int] = {}
        self.settled = 0
        self.paused_names: list[str] = []

    @property
    def views(self) -> Views:
        raise NotImplementedError("this model is asked by the verbs of the engine and of the API alone")

    @property
    def lane_history(self) -> LaneHistory:
        raise NotImplementedError("this model is asked by the verbs of the engine and of the API alone")

    async def close(self) -> None:
        pass

    async def create(self, new: NewBatch, drafts: Drafts, origin: Origin, *, defend: bool) -> Batch:
        mine = [
            batch
            for batch in reversed(self.batches)
            if batch.workspace == new.workspace and self.origins[batch.id].caller == origin.caller
        ]
        if origin.idempotency_key is not None:
            for batch in mine:
                known = self.origins[batch.id]
                recent = batch.created_at >= new.created_at - timedelta(hours=24)
                if recent and known.idempotency_key == origin.idempotency_key:
                    if known.body_sha256 != origin.body_sha256:
                        raise InvalidRequest("idempotency-key")
                    return self.shown(batch)
        for batch in mine if defend else []:
            known = self.origins[batch.id]
            recent = batch.created_at >= new.created_at - timedelta(minutes=10)
            began_at = datetime(1970, 1, 1, tzinfo=UTC) + origin.began_at * MICROSECOND
            overtaken = known.retry >= 1 and batch.created_at >= began_at
            if recent and known.body_sha256 == origin.body_sha256 and (origin.retry >= 1 or overtaken):
                return self.shown(batch)
        new.quota.check(await self.load(new.workspace), len(drafts), sum(drafts.lengths))
        return self.store(new, drafts, origin)

    async def load(self, workspace: str) -> Load:
        own = [batch for batch in self.batches if batch.workspace == workspace]
        running = [batch.id for batch in own if batch.status is not Status.ENDED]
        rows = [row for row in self.requests if row.batch in running]
        kept = [batch for batch in own if batch.id in running or batch.sealed]
        size = sum(self.sizes[batch.id] + (batch.sealed.size if batch.sealed else 0) for batch in kept)
        return Load(sum(row.result is None for row in rows), len(running), size)

    def store(self, new: NewBatch, drafts: Drafts, origin: Origin) -> Batch:
        moment = max([new.created_at, *[given + MICROSECOND for given in self.given]])
        self.given.append(moment)
        batch = Batch(
            id=new_id(moment, self.entropy()),
            workspace=new.workspace,
            status=Status.IN_PROGRESS,
            counts=Counts(processing=len(drafts)),
            created_at=moment,
            expires_at=moment + (new.expires_at - new.created_at),
            version=new.version,
            betas=new.betas,
            body=new.body,
            labels=new.labels,
        )
        self.batches.append(batch)
        self.origins[batch.id] = origin
        self.sizes[batch.id] = sum(drafts.lengths)
        names = {number: name for name, number in drafts.model_names.items()}
        for seq, (custom_id, offset, length, crc, _, model) in enumerate(drafts.rows()):
            params = ParamsAt(new.body, offset, length, crc)
            place = self.run_order(drafts, model).index(seq)
            self.requests.append(Request(batch.id, seq, custom_id, params, names[model], place, moment))
        return batch

    def run_order(self, drafts: Drafts, model: int) -> list[int]:
        """Group by prefix; then let each group's first change places with the rest of the group before."""
        groups: list[list[int]] = []
        for seq in range(len(drafts)):
            if drafts.models[seq] == model:
                prefix = drafts.prefixes[seq]
                alike = [one for one in groups if prefix and prefix == drafts.prefixes[one[0]]]
                if alike:
                    alike[0].append(seq)
                else:
                    groups.append([seq])
        parts: list[list[int]] = []
        for group in groups:
            parts[-1:-1] = [[group[0]]] if parts else []
            parts += [[group[0]], group[1:]] if not parts else [group[1:]]
        return [seq for part in parts for seq in part]

    def of(self, batch_id: str) -> list[Request]:
        return [request for request in self.requests if request.batch == batch_id]

    def shown(self, batch: Batch) -> Batch:
        if batch.status is Status.ENDED:
            return batch
        rows = self.of(batch.id)
        final = sorted((row for row in rows if row.result is not None), key=lambda row: row.settled_as)
        if len(final) == len(rows):
            final.pop()
        words = [kind(row.result) for row in final if row.result is not None]
        return replace(batch, counts=self.counted(words, processing=len(rows) - len(words)))

    @staticmethod
    def counted(words: Sequence[str], *, processing: int) -> Counts:
        return Counts(processing, *[words.count(word) for word in ("succeeded", "errored", "canceled", "expired")])

    def find(self, batch_id: str, workspace: str) -> Batch:
        for batch in self.batches:
            if batch.id == batch_id and batch.workspace == workspace:
                return batch
        raise NotFound(f"{batch_id} not found")

    def put(self, batch: Batch) -> Batch:
        self.batches = [batch if batch.id == known.id else known for known in self.batches]
        return self.shown(batch)

    async def get(self, workspace: str, batch_id: str) -> Batch:
        return self.shown(self.find(batch_id, workspace))

    async def page(self, workspace: str, *, after: str | None, before: str | None, limit: int) -> Page:
        inside = [
            batch
            for batch in reversed(self.batches)
            if batch.workspace == workspace
            and (after is None or batch.id < after)
            and (not before or batch.id > before)
        ]
        upwards = before is not None and after is None
        chosen = list(reversed(list(reversed(inside))[:limit])) if upwards else inside[:limit]
        return Page([self.shown(batch) for batch in chosen], has_more=len(inside) > limit)

    async def cancel(self, workspace: str, batch_id: str, now: datetime) -> Batch:
        return self.put(self.find(batch_id, workspace).begin_cancel(now))

    async def pause(self, workspace: str, batch_id: str, *, paused: bool) -> Batch:
        return self.put(self.find(batch_id, workspace).pause(paused=paused))

    async def delete(self, workspace: str, batch_id: str) -> Batch:
        batch = self.find(batch_id, workspace)
        batch.check_deletable()
        self.batches.remove(batch)
        return batch

    async def beat(self, owner: str, now: datetime) -> int:
        self.beats[owner] = now
        return len([beat for beat in self.beats.values() if now - beat < self.lease_time])

    def may_lease(self, batch: Batch, now: datetime) -> bool:
        return (
            batch.status is not Status.ENDED and batch.closing is None and not batch.paused and now < batch.expires_at
        )

    async def backlog(self, now: datetime) -> Sequence[Ready]:
        pending = [row for row in self.requests if row.is_pending]
        waiting: dict[tuple[str, str], list[Request]] = {}
        for row in pending:
            waiting.setdefault((row.batch, row.model), []).append(row)
        return [
            Ready(
                batch.id,
                batch.workspace,
                batch.created_at,
                batch.expires_at,
                batch.version,
                batch.betas,
                model=model,
                pending=len(rows),
                next_ready_at=min(row.ready_at for row in rows),
            )
            for batch in self.batches
            for (name, model), rows in waiting.items()
            if name == batch.id and self.may_lease(batch, now)
        ]

    async def turn(self, owner: str, settlements: Sequence[Settlement], picks: Sequence[Pick], now: datetime) -> Turn:
        good = [settlement for settlement in settlements if self.settle(owner, settlement)]
        done = {settlement.lease.batch for settlement in good}
        ripe = [batch.id for batch in self.batches if batch.id in done and self.is_ripe(batch)]
        leases: list[Lease] = []
        short: list[Short] = []
        for pick in picks:
            got = self.lease(owner, pick, now)
            leases += got
            left = [row.ready_at for row in self.of(pick.batch) if row.is_pending and row.model == pick.model]
            leasable = any(batch.id == pick.batch and self.may_lease(batch, now) for batch in self.batches)
            if len(got) < pick.limit and leasable:
                short.append(Short(pick.batch, pick.model, min(left, default=None)))
        taken = {id(settlement) for settlement in good}
        return Turn(leases, [settlement for settlement in settlements if id(settlement) not in taken], ripe, short)

    def settle(self, owner: str, settlement: Settlement) -> bool:
        wanted = settlement.lease
        for row in self.requests:
            if (row.batch, row.seq, row.attempt, row.owner) == (wanted.batch, wanted.seq, wanted.attempt, owner):
                row.owner = None
                row.traces.append(settlement.trace)
                self.become(row, settlement)
                return True
        return False

    def become(self, row: Request, settlement: Settlement) -> None:
        [batch] = [batch for batch in self.batches if batch.id == row.batch]
        if isinstance(settlement, Finish):
            row.result = settlement.result
        if isinstance(settlement, Retry):
            row.paid, row.failures, row.unknowns = settlement.paid, settlement.failures, settlement.unknowns
            row.ready_at = settlement.ready_at
            row.result = self.fate(batch)
        if row.result is not None:
            self.settled += 1
            row.settled_as = self.settled

    def fate(self, batch: Batch) -> Result | None:
        match batch.closing:
            case Closing.CANCELED:
                return Canceled()
            case Closing.EXPIRED:
                return Expired()
        return None

    def lease(self, owner: str, pick: Pick, now: datetime, new: NewCarrier | None = None) -> list[Lease]:
        for batch in self.batches:
            if batch.id == pick.batch and self.may_lease(batch, now):
                own = [row for row in self.of(batch.id) if row.model == pick.model]
                tried = [row for row in own if row.attempt and row.is_pending and row.ready_at <= now]
                fresh = sorted((row for row in own if not row.attempt), key=lambda row: row.place)
                rows = (tried + fresh)[: pick.limit]
                if new is not None:
                    rows = rows[: new.fitting(row.params.length for row in rows)]
                for row in rows:
                    row.owner = owner
                    row.attempt += 1
                    self.beats.setdefault(owner, now)
                return [
                    Lease(
                        *(row.batch, row.seq, row.attempt, row.params, row.model),
                        *(row.paid, row.failures, row.unknowns, row.deaths),
                    )
                    for row in rows
                ]
        return []

    async def held(self, owner: str) -> Sequence[Lease]:
        rows = sorted((row for row in self.requests if row.owner == owner), key=lambda row: (row.batch, row.seq))
        return [
            Lease(
                *(row.batch, row.seq, row.attempt, row.params, row.model),
                *(row.paid, row.failures, row.unknowns, row.deaths),
            )
            for row in rows
        ]

    async def pause_lane(self, lane: str, *, paused: bool) -> None:
        self.paused_names = [name for name in self.paused_names if name != lane] + [lane] * paused

    async def paused_lanes(self) -> Sequence[str]:
        return sorted(self.paused_names)

    async def reclaim(self, owner: str, now: datetime) -> int:
        if self.beats.pop(owner, None) is None:
            return 0
        lost = [row for row in self.requests if row.owner == owner]
        for row in lost:
            row.owner = None
            row.ready_at = now
            row.paid += 1
            row.deaths += 1
        return len(lost)

    async def leave(self, owner: str, now: datetime) -> int:
        return await self.reclaim(owner, now)

    async def dead(self, now: datetime) -> Sequence[str]:
        return [owner for owner, beat in self.beats.items() if now - beat > self.lease_time]

    async def owners(self, now: datetime) -> Sequence[Owner]:
        return [
            Owner(
                owner, beat, now - beat < self.lease_time, len([row for row in self.requests if row.owner == owner]), 0
            )
            for owner, beat in self.beats.items()
        ]

    async def expire(self, now: datetime) -> Sequence[str]:
        open_before = [batch.id for batch in self.batches if batch.closing is None]
        self.batches = [batch.begin_expiry(now) for batch in self.batches]
        return [batch.id for batch in self.batches if batch.closing is not None and batch.id in open_before]

    def is_ripe(self, batch: Batch) -> bool:
        rows = self.of(batch.id)
        leased = [row for row in rows if row.owner is not None]
        pending = [row for row in rows if row.is_pending]
        return batch.status is not Status.ENDED and not leased and (not pending or batch.closing is not None)

    async def ended(self, since: datetime) -> Sequence[Batch]:
        shown = [self.shown(batch) for batch in self.batches]
        return sorted(
            (batch for batch in shown if batch.ended_at and batch.ended_at >= since),
            key=lambda one: one.ended_at or one.created_at,
        )[:1000]

    async def due(self, before: datetime) -> Sequence[Batch]:
        shown = [self.shown(batch) for batch in self.batches]
        return [
            batch
            for batch in shown
            if batch.status is not Status.ENDED and batch.closing is None and batch.expires_at < before
        ]

    async def ripe(self) -> Sequence[Batch]:
        return [self.shown(batch) for batch in self.batches if self.is_ripe(batch)]

    def ends(self, batch: Batch) -> list[Final]:
        arrived = sorted(row.settled_as for row in self.of(batch.id) if row.settled_as)
        finals = []
        for row in self.of(batch.id):
            result = row.result or self.fate(batch)
            assert result is not None, f"{batch.id} is not ripe"
            arrival = arrived.index(row.settled_as) + 1 if row.settled_as else 0
            traces = tuple(row.traces)
            numbers = (row.attempt, row.paid, row.deaths)
            finals.append(Final(row.seq, row.custom_id, result, arrival, traces, *numbers, row.params))
        return finals

    async def finals(self, batch_id: str) -> AsyncIterator[Sequence[Final]]:
        for batch in self.batches:
            if batch.id == batch_id:
                yield self.ends(batch)

    async def seal(self, batch_id: str, sealed: Sealed, counts: Counts, now: datetime) -> Batch | None:
        for batch in self.batches:
            if batch.id == batch_id and batch.status is not Status.ENDED:
                assert self.is_ripe(batch), f"{batch_id} is not ripe"
                words = [kind(final.result) for final in self.ends(batch)]
                assert counts == self.counted(words, processing=0), f"{batch_id} has other counts"
                return self.put(batch.end(counts, sealed, now))
        return None

    async def sweep(self, limit: int) -> int:
        living = {batch.id for batch in self.batches if batch.status is not Status.ENDED}
        doomed = [row for row in self.requests if row.batch not in living][:limit]
        self.requests = [row for row in self.requests if not any(row is gone for gone in doomed)]
        return len(doomed)

    async def archive(self, created_before: datetime, now: datetime) -> Sequence[Batch]:
        old = [batch for batch in self.batches if batch.has_results and batch.created_at < created_before]
        for batch in old:
            self.put(batch.archive(now))
        return old

    async def blobs(self) -> set[str]:
        open_or_kept = [batch for batch in self.batches if batch.status is not Status.ENDED or batch.sealed is not None]
        bodies = {batch.body for batch in open_or_kept}
        files = [batch.sealed for batch in self.batches if batch.sealed is not None]
        return bodies | {name for sealed in files for name in (sealed.results, sealed.index, sealed.ledger)}
