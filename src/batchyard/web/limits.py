"""How often a workspace may call, and how much at once a key: judged when the key is known, before a body is read.

Messages, counts and models do not count against the calls of a minute: they have the slots of their lane. Each API
process counts for itself.
"""

from collections import Counter
from datetime import timedelta
from math import ceil

from batchyard import wire
from batchyard.domain.errors import RateLimited
from batchyard.domain.quota import Allowances, Bucket
from batchyard.ports import Clock
from batchyard.web.calls import ApiCall
from batchyard.web.settings import WebSettings


class CallLimits:
    """The buckets. Workspaces have keys, so they are few."""

    def __init__(self, allowances: Allowances, clock: Clock, most_at_once: int) -> None:
        self._allowances, self._clock = allowances, clock
        self._buckets: dict[str, Bucket] = {}
        self._most_at_once = most_at_once
        self._at_once: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: WebSettings, clock: Clock) -> "CallLimits":
        return cls(settings.allowances, clock, settings.max_calls_per_key)

    def enter(self, call: ApiCall) -> None:
        """Count a call of this key that begins; raise ``RateLimited`` where as many as it may make are under way."""
        if self._at_once[call.caller] >= self._most_at_once:
            raise RateLimited(f"This key may make {self._most_at_once} calls at once, and does.", 1.0)
        self._at_once[call.caller] += 1
        call.entered = True

    def leave(self, call: ApiCall) -> None:
        """Uncount a call that has ended, if it was counted."""
        if call.entered:
            call.entered = False
            self._at_once[call.caller] -= 1
            if not self._at_once[call.caller]:
                del self._at_once[call.caller]

    def admit(self, call: ApiCall) -> None:
        """Count the call, and tell in its answer how many are left; raise ``RateLimited`` where none is."""
        per_minute = self._allowances.of(call.workspace).calls_per_minute
        if per_minute is None:
            return
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(call.workspace, Bucket(per_minute, now))
        wait = bucket.take(now)
        full_at = self._clock.now() + timedelta(seconds=bucket.full_in)
        call.always += [
            ("anthropic-ratelimit-requests-limit", str(per_minute)),
            ("anthropic-ratelimit-requests-remaining", str(bucket.left)),
            ("anthropic-ratelimit-requests-reset", wire.timestamp(full_at)),
        ]
        if wait:
            message = f"This workspace may make {per_minute} calls a minute. Try again in {max(1, ceil(wait))} s."
            raise RateLimited(message, max(1.0, wait))
