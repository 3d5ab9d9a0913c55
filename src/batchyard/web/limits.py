"""How often a workspace may call: a bucket for each, judged once its key is known and before a byte of a body is read.

Messages, counts and models have limits of their own, the slots of their lane. Each API process counts for itself.
"""

from datetime import timedelta
from math import ceil

from batchyard import wire
from batchyard.domain.errors import RateLimited
from batchyard.domain.quota import Allowances, Bucket
from batchyard.ports import Clock
from batchyard.web.calls import ApiCall


class CallLimits:
    """The buckets. Workspaces have keys, so they are few."""

    def __init__(self, allowances: Allowances, clock: Clock) -> None:
        self._allowances, self._clock = allowances, clock
        self._buckets: dict[str, Bucket] = {}

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
