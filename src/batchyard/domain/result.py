"""The one final fate of a request: succeeded, errored, canceled or expired."""

from dataclasses import dataclass
from typing import assert_never

import msgspec

ERROR_TYPES = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
    }
)
"""The types that official SDKs parse inside an errored line (SDK 2.11 sources); others are sent as
``invalid_request_error``."""


_NO_DETAILS = msgspec.Raw(b"")


class RequestError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request errored, as the wire's error envelope tells it.

    ``request_id`` is null for what was found before a model was called.
    """

    type: str
    message: str
    request_id: str | None = None
    details: msgspec.Raw = _NO_DETAILS

    def __post_init__(self) -> None:
        if not bytes(self.details):  # a default is left out by its identity, and no bytes at all are not JSON
            msgspec.structs.force_setattr(self, "details", _NO_DETAILS)
        if self.type not in ERROR_TYPES:
            msgspec.structs.force_setattr(self, "type", "invalid_request_error")


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    """``message`` is the JSON of a Message on one line, as the upstream wrote it."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Errored:
    error: RequestError


@dataclass(frozen=True, slots=True)
class Canceled:
    pass


@dataclass(frozen=True, slots=True)
class Expired:
    pass


Result = Succeeded | Errored | Canceled | Expired

_encoder = msgspec.json.Encoder()
_error_decoder = msgspec.json.Decoder(RequestError)


def kind(result: Result) -> str:
    """Return the wire's word for the result."""
    match result:
        case Succeeded():
            return "succeeded"
        case Errored():
            return "errored"
        case Canceled():
            return "canceled"
        case Expired():
            return "expired"
        case _:
            assert_never(result)


def pack(result: Result) -> tuple[str, bytes]:
    """Return the kind and the bytes that a store keeps; ``unpack`` is the way back."""
    match result:
        case Succeeded(message):
            return "succeeded", message
        case Errored(error):
            return "errored", _encoder.encode(error)
        case Canceled() | Expired():
            return kind(result), b""
        case _:
            assert_never(result)


def unpack(kind: str, packed: bytes) -> Result:
    """Return the result that was packed."""
    match kind:
        case "succeeded":
            return Succeeded(packed)
        case "errored":
            return Errored(_error_decoder.decode(packed))
        case "canceled":
            return Canceled()
        case "expired":
            return Expired()
    raise ValueError(f"unknown result kind {kind!r}")
