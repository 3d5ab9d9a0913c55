"""The gauge of a model server that speaks Prometheus at ``/metrics``: calls that wait in it, calls that are at work."""

import ssl

from batchyard.domain.engine_line import EngineLoad, read_load
from batchyard.upstream.exchange import Answer, CallLimits
from batchyard.upstream.heads import address, api_path, checked_key, checked_url, plain_get
from batchyard.upstream.http1 import Http1Client

LIMITS = CallLimits(total_seconds=5.0, connect_seconds=2.0, max_answer_bytes=4 * 1024 * 1024)


class MetricsGauge:
    """Implements ``EngineGauge``: GET to ``/metrics`` beside the API at ``url``, never anywhere else.

    Raises ``ValueError``, with a message for the operator, for a URL or a key that cannot be used.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, tls: ssl.SSLContext | None = None, limits: CallLimits = LIMITS
    ) -> None:
        parts = checked_url(url)
        self._request = plain_get(parts, f"{api_path(parts).removesuffix('/v1')}/metrics", checked_key(api_key))
        self._client = Http1Client(address(parts, tls), limits)

    async def load(self) -> EngineLoad | None:
        answer = await self._client.post(self._request)
        if not isinstance(answer, Answer) or answer.status != 200:
            return None
        return read_load(answer.body)

    async def close(self) -> None:
        await self._client.close()
