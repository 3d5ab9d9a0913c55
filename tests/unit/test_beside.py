"""What takes long with large params stops no event loop, and a model's name is read as it is kept."""

import asyncio
import threading

import pytest

from batchyard.dispatch.beside import beside, kept_model_of, model_of
from batchyard.dispatch.held import LARGE_BYTES


@pytest.mark.parametrize(("size", "stays"), [(LARGE_BYTES - 1, True), (LARGE_BYTES, False)])
def test_large_work_leaves_the_thread_of_the_loop(size: int, stays: bool) -> None:
    async def main() -> bool:
        return await beside(size, threading.get_ident) == threading.get_ident()

    assert asyncio.run(main()) is stays


@pytest.mark.parametrize(
    ("params", "told", "kept"),
    [
        (b'{"model":"m"}', "m", "m"),
        (b'{"model":"%b"}' % (b"m" * 257), "m" * 257, "m" * 256),
        (b'{"model":"a\\u0000b"}', "a\0b", "ab"),
        (b'{"model":1}', "", ""),
        (b'{"pad":"%b","model":"m"}' % (b"x" * LARGE_BYTES), "m", "m"),
        (b"[" * 100_000, "", ""),
        (b'{"model":"\xff"}', "", ""),
        (b"", "", ""),
    ],
)
def test_the_model_of_params_is_told_where_they_name_one(params: bytes, told: str, kept: str) -> None:
    async def main() -> tuple[str, str]:
        return await model_of(params), await kept_model_of(params)

    assert asyncio.run(main()) == (told, kept)
