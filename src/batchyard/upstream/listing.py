"""What a model server tells beside its answers: how many tokens an input is, and which models it has.

Not every server of this dialect has both: one that lacks them says so with a 404, 405 or 501.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from batchyard.domain import complaint
from batchyard.domain.catalog import ModelInfo, read_list
from batchyard.domain.outcome import Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.upstream.exchange import Answer, hung, unknown
from batchyard.upstream.http1 import Http1Client

KEPT_FOR = timedelta(seconds=60)
"""How old a list may be: models come and go when an operator changes something."""
LONGEST_SECONDS = 10.0
"""A list is read from memory; a server that needs longer is not well."""
ABSENT = frozenset({404, 405, 501})

Judge = Callable[[Answer], Outcome]


class _Count(msgspec.Struct):
    input_tokens: int


_counts = msgspec.json.Decoder(_Count)


def judge_count(answer: Answer, judge: Judge) -> int | Outcome:
    """Return the count of an answer, or the outcome that it amounts to."""
    if answer.status == 200:
        try:
            tokens = _counts.decode(answer.body).input_tokens
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            tokens = -1
        return tokens if tokens >= 0 else unknown("did not answer with a count of tokens")
    said = complaint.read(answer.body)
    if answer.status in ABSENT and not (said.about_request and "model" in said.message.lower()):
        message = "The upstream of this server has no /v1/messages/count_tokens: it cannot count tokens."
        return Refused(RequestError("not_found_error", message))
    return judge(answer)


class Listing:
    """The upstream's list of models, asked for when somebody wants it, by one at a time."""

    def __init__(self, client: Http1Client, request: bytes, judge: Judge, now: Callable[[], datetime]) -> None:
        self._client, self._request, self._judge, self._now = client, request, judge, now
        self._asking = asyncio.Lock()
        self._models: Sequence[ModelInfo] = ()
        self._asked_at: datetime | None = None

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the list; a failure is not kept."""
        async with self._asking:
            if self._asked_at is not None and self._now() - self._asked_at < KEPT_FOR:
                return self._models
            listed = await self._ask()
            if not isinstance(listed, Outcome):
                self._models, self._asked_at = listed, self._now()
            return listed

    async def _ask(self) -> Sequence[ModelInfo] | Outcome:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                answer = await self._client.post(self._request)
        except TimeoutError:
            return hung(f"gave no list of models within {LONGEST_SECONDS:g} s")
        if not isinstance(answer, Answer):
            return answer
        if answer.status in ABSENT:
            return ()
        listed = read_list(answer.body) if answer.status == 200 else None
        if listed is not None:
            return listed
        return unknown("did not answer with a list of models") if answer.status == 200 else self._judge(answer)
