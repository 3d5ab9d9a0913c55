"""What servers of chat completions say instead of an answer: their own words for what no status tells apart.

The statuses are judged as for any upstream. Here are the exceptions: a fault of the request that comes as a server's
own (and would be paid for three times), a fault of the account that comes as the request's (and would fail them all).
"""

import re
from collections.abc import Mapping
from datetime import datetime

from batchyard.domain import complaint
from batchyard.domain.answer import judge, retry_after
from batchyard.domain.complaint import Complaint
from batchyard.domain.outcome import Held, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.domain.servers import ANTHROPIC, Server

_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
"""OpenAI's code, and llama.cpp's type, which its older versions send with a 500."""
_SAYS_TOO_LONG = re.compile(
    r"maximum context length|exceeds? the (available )?context (size|length|window)|"
    r"input is too large to process|longer than the (maximum )?model|prompt is too long",
    re.IGNORECASE,
)
"""vLLM, llama.cpp, TGI and gateways before them, where there is no code."""
_ACCOUNT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"})
"""OpenAI's codes for money; some gateways have them as the type alone."""
_NO_MODEL = re.compile(
    r"\bmodel\b.*(not found|does not exist|not available|no such|do(es)? not have access)", re.I | re.S
)


def judge_error(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime, server: Server = ANTHROPIC
) -> Outcome:
    """Return the outcome of an answer whose status is not 200. Never raises, whatever the bytes are."""
    said = complaint.read(body)
    if status >= 400 and {said.code, said.type} & _ACCOUNT:
        return Held(complaint.error(status, headers, body, said), retry_after(headers, now))
    if _is_too_long(status, said):
        return Refused(_of_request("invalid_request_error", status, headers, body), is_too_large=status == 413)
    if _names_no_model(status, said):
        return Refused(_of_request("not_found_error", status, headers, body))
    return judge(status, headers, body, now, server)


def _is_too_long(status: int, said: Complaint) -> bool:
    """A prompt that does not fit today does not fit tomorrow, whatever status says so."""
    if status in {401, 402, 403, 429} or status < 400:
        return False
    return bool({said.code, said.type} & _TOO_LONG) or _SAYS_TOO_LONG.search(said.message) is not None


def _names_no_model(status: int, said: Complaint) -> bool:
    """A server that names the model has been reached: another model's requests may well succeed there."""
    if status not in {403, 404}:
        return False
    return said.code == "model_not_found" or (status == 404 and _NO_MODEL.search(said.message) is not None)


def _of_request(kind: str, status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    return complaint.of_request(complaint.error(status, headers, body, complaint.read(body)), kind)
