"""Results as stores keep them."""

import msgspec
import pytest

from batchyard.domain import complaint
from batchyard.domain.result import Errored, RequestError, pack, unpack


@pytest.mark.parametrize(
    "error",
    [
        RequestError("api_error", "no"),
        RequestError("api_error", "no", "req_1", msgspec.Raw(b"")),
        RequestError("api_error", "no", None, msgspec.Raw(b'{"error_code":"x"}')),
        complaint.error(
            400, {}, b"no", complaint.read(b'{"type":"error","error":{"type":"api_error","message":"no"}}')
        ),
    ],
)
def test_an_error_comes_back_as_it_was_packed_with_details_or_without(error: RequestError) -> None:
    # An upstream's error without details was packed as `"details":}`: its batch could not be read, nor ever end.
    unpacked = unpack(*pack(Errored(error)))

    assert isinstance(unpacked, Errored)
    assert (unpacked.error.type, unpacked.error.message) == (error.type, error.message)
    assert unpacked.error.request_id == error.request_id
    assert bytes(unpacked.error.details) == bytes(error.details)
