"""HTTP calls whose every header is chosen by the test, as SDKs that cannot run here would send them."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

KEY = {"x-api-key": "a-key", "anthropic-version": "2023-06-01"}
BATCHES = "/v1/messages/batches"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = KEY,
    *,
    timeout: float = 60,
) -> Reply:
    """Make one call with these headers, ``Host``, and the length of a body if there is one; nothing is added."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        lines = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, lines, answer.read())
    finally:
        connection.close()


def a_create(*custom_ids: str, **params: Any) -> bytes:
    """Return the body of a create whose requests are alike."""
    messages = [{"role": "user", "content": "Say hello"}]
    whole = {"model": "claude-haiku-4-5-20251001", "max_tokens": 20, "messages": messages, **params}
    return json.dumps({"requests": [{"custom_id": each, "params": whole} for each in custom_ids]}).encode()
