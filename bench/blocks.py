"""The same HTTP server stack that Batchyard uses, streaming constant blocks: the most it could ever send.

python -m bench.blocks
"""

import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

BLOCK = b"x" * (256 * 1024)


async def constant(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // len(BLOCK)):
        yield BLOCK
    yield BLOCK[: size % len(BLOCK)]


async def blocks(request: Request) -> StreamingResponse:
    size = int(request.query_params["size"])
    return StreamingResponse(constant(size), headers={"content-length": str(size)})


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/blocks", blocks)])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
