"""Bugs in who may do what: keys, scopes, workspaces."""

from tests.planted.bug import Bug

TENANTS = "tests/wire/test_tenants.py"
KEYS = "tests/wire/test_keys.py"
SHARES = "tests/simulation/test_shares.py"
LIMITS = "tests/wire/test_limits.py"
QUOTA = "tests/contract/test_store_quota.py"

TENANT = [
    Bug(
        "scopes are not enforced",
        "web/api.py",
        "        auth.authorize(principal, endpoint.scope)\n",
        "",
        TENANTS,
    ),
    Bug(
        "delete takes a key that may only read",
        "web/api.py",
        'Route("DELETE", one, Scope.DELETE,',
        'Route("DELETE", one, Scope.READ,',
        "tests/wire/test_auth.py",
    ),
    Bug(
        "a revoked key is good",
        "domain/access.py",
        "self.revoked_at is None and (self",
        "(self",
        f"{KEYS} {TENANTS}",
    ),
    Bug(
        "an expired key is good",
        "domain/access.py",
        "self.expires_at is None or now < self.expires_at",
        "True",
        f"{KEYS} {TENANTS}",
    ),
    Bug(
        "a rotation gives a key more than the old one had",
        "web/keys.py",
        "self._new(old.workspace, old.label, old.scopes, old.expires_at)",
        "self._new(old.workspace, old.label, ALL, old.expires_at)",
        KEYS,
    ),
    Bug(
        "a rotation leaves the old key",
        "web/keys.py",
        'self._rows("update keys set expires_at = ? where id = ?", _text(ends_at), key_id)',
        "pass",
        KEYS,
    ),
    Bug(
        "a foreign batch is found",
        "store/memory.py",
        "if stored is None or stored.batch.workspace != workspace:",
        "if stored is None:",
        TENANTS,
    ),
    Bug(
        "the answer tells a malformed id from an unknown one",
        "web/batches.py",
        'raise NotFound(f"Message Batch {batch_id[:100]} not found.")',
        'raise InvalidRequest("batch_id: this is not an id")',
        TENANTS,
    ),
    Bug(
        "metrics take any key",
        "web/health.py",
        "auth.authorize(await auth.authenticate(self._keys, call.headers), Scope.ADMIN)",
        "await auth.authenticate(self._keys, call.headers)",
        TENANTS,
    ),
    Bug(
        "a key that was deleted from the book is remembered",
        "web/keys.py",
        "self._known, self._made = await reading",
        "self._known, self._made = {**(await reading)[0], **self._known}, True",
        KEYS,
    ),
    Bug(
        "the calls of a workspace are not counted",
        "web/api.py",
        "        if endpoint.counted:\n            self.limits.admit(call)\n",
        "",
        LIMITS,
    ),
    Bug(
        "each key has a rate of its own",
        "web/limits.py",
        "setdefault(call.workspace,",
        "setdefault(call.caller,",
        LIMITS,
    ),
    Bug(
        "all workspaces share one rate",
        "web/limits.py",
        "setdefault(call.workspace,",
        'setdefault("",',
        LIMITS,
    ),
    Bug(
        "a bucket is never refilled",
        "domain/quota.py",
        "self._tokens + (now - self._filled_at) * self.per_minute / 60",
        "self._tokens",
        LIMITS,
    ),
    Bug(
        "a bucket overflows",
        "domain/quota.py",
        "min(self.per_minute, self._tokens +",
        "max(0, self._tokens +",
        LIMITS,
    ),
    Bug(
        "a full queue says not to come again",
        "domain/quota.py",
        "waits = QUEUE_SECONDS if requests <= self.requests else None",
        "waits = None",
        f"{QUOTA} {LIMITS}",
    ),
    Bug(
        "a create is not judged by its quota",
        "store/sqlite_create.py",
        "if new.quota.is_limit:",
        "if False:",
        QUOTA,
    ),
    Bug(
        "the load is of all workspaces",
        "store/sqlite_quota.py",
        "where ended_at is null and workspace = ?",
        "where ended_at is null and ?",
        QUOTA,
    ),
    Bug(
        "requests count until their batch ends",
        "store/sqlite_quota.py",
        "sum(open)",
        "sum(total)",
        QUOTA,
    ),
    Bug(
        "a repeated create is judged by the quota",
        "store/sqlite_create.py",
        "    earlier = _same_key",
        "    new.quota.check(sqlite_quota.load(connection, new.workspace), len(drafts), drafts.bytes)\n"
        "    earlier = _same_key",
        QUOTA,
    ),
    Bug(
        "weights are not looked at",
        "domain/fairness.py",
        "(slot_seconds - part) / self._weight(workspace)",
        "slot_seconds - part",
        SHARES,
    ),
    Bug(
        "requests are shared, not slot-seconds",
        "domain/fairness.py",
        "        self._end(workspace, batch, slot_seconds)\n        self._mean",
        "        self._end(workspace, batch, 1.0)\n        self._mean",
        SHARES,
    ),
    Bug(
        "a workspace whose requests are all in flight is forgotten",
        "domain/fairness.py",
        "times = {name: self.at[name] for name in self._in_flight}",
        "times: dict[str, float] = {}; self.at = {**dict.fromkeys(self._in_flight, 1e12), **self.at}",
        SHARES,
    ),
    Bug(
        "a newcomer waits behind all that was done before it",
        "domain/fairness.py",
        "level = min(waited or times.values(), default=0.0)",
        "level = max(times.values(), default=0.0) + 100",
        SHARES,
    ),
]
