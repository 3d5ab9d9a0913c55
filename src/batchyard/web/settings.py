"""What the web layer can be told."""

from dataclasses import dataclass, field
from datetime import timedelta

from batchyard.domain.quota import Allowances


@dataclass(frozen=True, slots=True)
class WebSettings:
    """``allowed_hosts`` are names beside loopback and the public URL's host; ``*`` allows any.

    ``trusted_proxies`` are addresses or networks whose ``X-Forwarded-*`` headers are believed. A running download
    looks every ``recheck_seconds`` whether its batch is still there; who follows a batch, every ``follow_seconds`` for
    more results. ``lead`` is how far ahead of its group the first of it runs. ``role`` is what this
    process does, beside others on one store: all, api or dispatch.
    """

    public_url: str | None = None
    allowed_hosts: frozenset[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    expires_after: timedelta = timedelta(hours=24)
    max_requests: int = 100_000
    max_body_bytes: int = 256 * 1024 * 1024
    max_request_bytes: int = 32 * 1024 * 1024
    retry_defence: bool = True
    recheck_seconds: float = 10.0
    read_bytes: int = 512 * 1024
    max_calls_per_key: int = 1000
    follow_seconds: float = 0.5
    lead: int = 1
    retain_results_for: timedelta = timedelta(days=29)
    role: str = "all"
    allowances: Allowances = field(default_factory=Allowances)
