"""How fast it went, beside the wire: ``GET /batchyard/v1/throughput``, minute by minute, over restarts too."""

import re
from datetime import UTC, datetime

import msgspec

from batchyard import wire
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.usage import in_steps
from batchyard.ports import Clock, Views
from batchyard.web.calls import Answer, ApiCall

USUAL_MINUTES = 60
LONGEST_MINUTES = 7 * 24 * 60
"""What every store keeps."""
MOST_POINTS = 1500
_NUMBER = re.compile("[0-9]{1,9}")
_encode = msgspec.json.Encoder().encode


class Throughputs:
    """Implements the path."""

    def __init__(self, views: Views, clock: Clock) -> None:
        self._views, self._clock = views, clock

    async def series(self, call: ApiCall, *, everybody: bool = False) -> Answer:
        """What became final in each step of the last minutes; ``everybody``: of all workspaces."""
        minutes = _whole(call, "minutes", USUAL_MINUTES, LONGEST_MINUTES)
        step = _whole(call, "step", 1, LONGEST_MINUTES)
        if minutes > MOST_POINTS * step:
            raise InvalidRequest(f"step: {minutes} minutes need a step of at least {-(-minutes // MOST_POINTS)}")
        last = int(self._clock.now().timestamp()) // 60
        first = (last - minutes + 1) // step * step
        found = await self._views.minutes(None if everybody else call.workspace, first)
        shown = [
            {
                "at": wire.timestamp(datetime.fromtimestamp(one.minute * 60, UTC)),
                "finished": one.finished,
                "failed": one.failed,
                "input_tokens": one.input_tokens,
                "output_tokens": one.output_tokens,
            }
            for one in in_steps(found, first, last, step)
        ]
        return Answer(_encode({"step_minutes": step, "data": shown}))


def _whole(call: ApiCall, name: str, usual: int, most: int) -> int:
    text = call.query(name)
    if text is None:
        return usual
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidRequest(f"{name}: Input should be a whole number from 1 to {most}")
    return int(text)
