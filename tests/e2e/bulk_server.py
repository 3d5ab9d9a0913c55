"""A server of the Message Batches API for large jobs, as a process of its own: no latency, bodies and results on disk.

    python -m tests.e2e.bulk_server FOLDER [--no-keys]

It prints its port. One request in a thousand errors the first time it is sent. Every second batch gives its results
backwards. ``GET /made`` says which custom_ids each batch has: it is what a test counts.
"""

import asyncio
import json
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp import web

BATCHES = "/v1/messages/batches"
FAILS_EVERY = 1000


class _Request(msgspec.Struct):
    custom_id: str


class _Body(msgspec.Struct):
    requests: list[_Request]


_body = msgspec.json.Decoder(_Body)


class BulkServer:
    """``made`` are the batches in the order in which they came, each with its custom_ids in a file."""

    def __init__(self, folder: Path, *, knows_keys: bool) -> None:
        self.folder = folder
        self.knows_keys = knows_keys
        self.made: list[dict[str, object]] = []
        self.keys: dict[str, int] = {}
        self.failed: set[str] = set()
        self.looks: dict[int, int] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**29)
        app.router.add_post(BATCHES, self.create)
        app.router.add_get(BATCHES, self.page)
        app.router.add_get(BATCHES + "/{id}", self.retrieve)
        app.router.add_get(BATCHES + "/{id}/results", self.results)
        app.router.add_get("/batchyard/v1/server", self.about)
        app.router.add_get("/made", self.tell)
        return app

    async def about(self, _: web.Request) -> web.Response:
        return web.json_response({"idempotency_key_seconds": 86_400 if self.knows_keys else 0})

    async def create(self, call: web.Request) -> web.Response:
        body = await call.read()
        key = call.headers.get("idempotency-key", "") if self.knows_keys else str(len(self.keys))
        if key not in self.keys:
            self.keys[key] = len(self.made)
            self._make([request.custom_id for request in _body.decode(body).requests])
        return web.json_response(self._shown(self.keys[key]))

    async def page(self, call: web.Request) -> web.Response:
        numbers = range(len(self.made) - 1, -1, -1)
        after = call.query.get("after_id")
        numbers = numbers if after is None else range(int(after.removeprefix("msgbatch_")) - 1, -1, -1)
        shown = [self._shown(number) for number in numbers[: int(call.query.get("limit", "20"))]]
        return web.json_response({"data": shown, "has_more": len(shown) < len(numbers)})

    async def retrieve(self, call: web.Request) -> web.Response:
        number = int(call.match_info["id"].removeprefix("msgbatch_"))
        self.looks[number] += 1
        return web.json_response(self._shown(number))

    async def results(self, call: web.Request) -> web.FileResponse:
        number = int(call.match_info["id"].removeprefix("msgbatch_"))
        return web.FileResponse(self.folder / f"{number}.results", headers={"content-type": "application/x-jsonl"})

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response(self.made)

    def _make(self, custom_ids: list[str]) -> None:
        number = len(self.made)
        lines = [self._line(custom_id) for custom_id in custom_ids]
        with (self.folder / f"{number}.results").open("w") as file:
            file.writelines(reversed(lines) if number % 2 else lines)
        (self.folder / f"{number}.ids").write_text("\n".join(custom_ids))
        now = datetime.now(UTC).isoformat()
        self.made.append({"id": f"msgbatch_{number}", "requests": len(custom_ids), "created_at": now})
        self.looks[number] = 0

    def _line(self, custom_id: str) -> str:
        if fails(custom_id) and custom_id not in self.failed:
            self.failed.add(custom_id)
            result: dict[str, object] = {"type": "errored", "error": {"type": "overloaded_error", "message": "later"}}
        else:
            usage = {"input_tokens": 20, "output_tokens": 2}
            content = [{"type": "text", "text": f"The answer to {custom_id}."}]
            result = {"type": "succeeded", "message": {"model": "m", "content": content, "usage": usage}}
        return json.dumps({"custom_id": custom_id, "result": result}) + "\n"

    def _shown(self, number: int) -> dict[str, object]:
        made, ended = self.made[number], self.looks[number] >= 2
        return {
            "id": made["id"],
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {"processing": 0, "succeeded": made["requests"]}
            if ended
            else {"processing": made["requests"]},
            "created_at": made["created_at"],
            "results_url": None,
        }


def fails(custom_id: str) -> bool:
    """Whether the request errors the first time it is sent."""
    return zlib.crc32(custom_id.encode()) % FAILS_EVERY == 0


async def serve(folder: Path, *, knows_keys: bool) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(BulkServer(folder, knows_keys=knows_keys).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), knows_keys="--no-keys" not in sys.argv))
