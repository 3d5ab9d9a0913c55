"""Which results are worth sending the request again: what the next try may get past, never what would fail again."""

from batchyard.client.replies import ResultLine

PASSING = frozenset({"api_error", "overloaded_error", "rate_limit_error", "timeout_error"})
"""Errors of the moment, by ``error.type``. Every other says that the request, the key or the account is wrong."""


def may_be_sent_again(known: ResultLine) -> bool:
    """Whether the request was not answered, for a reason that passes. Such results were not billed."""
    match known.result.type:
        case "expired":
            return True
        case "errored":
            error = known.result.error
            return error is not None and error.innermost.type in PASSING
    return False
