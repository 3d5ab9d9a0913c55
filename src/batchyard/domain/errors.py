"""What a caller did wrong, or what we cannot do now, as exceptions that carry their wire type.

A message says what to change and holds no secret. The HTTP status of each type lives in one table, in ``wire``.
Everything that is not a ``BatchyardError`` is a bug.
"""


class BatchyardError(Exception):
    """Something a caller can act on."""

    type = "api_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(BatchyardError):
    """The call itself is wrong; the message says where and how."""

    type = "invalid_request_error"


class Unauthenticated(BatchyardError):
    """No key, or one that we do not know."""

    type = "authentication_error"


class Forbidden(BatchyardError):
    """A known key that may not do this."""

    type = "permission_error"


class NotFound(BatchyardError):
    """No such object in the caller's workspace: foreign ones look the same as unknown ones."""

    type = "not_found_error"


class TooLarge(BatchyardError):
    """A body, or one request in it, is over its limit."""

    type = "request_too_large"


class RateLimited(BatchyardError):
    """Too much at once; ``retry_after`` is in seconds, None where waiting does not help."""

    type = "rate_limit_error"

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(BatchyardError):
    """We cannot take this now (draining, full disk, busy): the same call may succeed later."""

    type = "overloaded_error"


class StoreUnavailable(Exception):
    """The store or the blobs cannot do their work now: a full disk, an I/O error, a lost connection.

    Nothing of the failed call took effect, or what did is fenced: the same call may be made again.
    """


class CommitUnknown(StoreUnavailable):
    """The connection broke in a commit, and nobody could tell in time whether it took effect.

    What the call was to name (the body of a batch) must stay. What it leased may be held: ``Work.held`` tells.
    """


class StoreDamaged(StoreUnavailable):
    """Bytes of the store are not what was written, where this call needs them: it fails again however often it is made.

    Nothing of it took effect. Calls that need other bytes succeed.
    """


class DataRefused(Exception):
    """The data folder or database is not ours to use: held by another server, foreign, newer, not writable.

    The message is one line that says what, and what to do.
    """
