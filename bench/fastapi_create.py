"""The batch endpoint most people would write: FastAPI, pydantic models, one SQLite row a request, committed durably.

python -m bench.fastapi_create batches.sqlite
"""

import secrets
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field, field_validator

DATABASE = sys.argv[1] if len(sys.argv) > 1 else ":memory:"

SCHEMA = """
create table if not exists batches (id text primary key, status text not null, total integer not null);
create table if not exists requests (
    batch_id text not null references batches (id), custom_id text not null, params text not null,
    state text not null default 'pending', result text, primary key (batch_id, custom_id)
);
"""


class InputMessage(BaseModel):
    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class Params(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[InputMessage], Field(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    custom_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: Params


class NewBatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    requests: Annotated[list[Request], Field(min_length=1, max_length=100_000)]

    @field_validator("requests")
    @classmethod
    def unique(cls, requests: list[Request]) -> list[Request]:
        if len({request.custom_id for request in requests}) != len(requests):
            raise ValueError("custom_id's must be unique within a batch")
        return requests


class Batch(BaseModel):
    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: str
    request_counts: dict[str, int]


app = FastAPI()


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(DATABASE)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        with connection:
            yield connection
    finally:
        connection.close()


@app.post("/v1/messages/batches")
def create(new: NewBatch) -> Batch:
    batch_id = "msgbatch_" + secrets.token_hex(12)
    rows = [
        (batch_id, request.custom_id, request.params.model_dump_json(exclude_unset=True)) for request in new.requests
    ]
    with database() as connection:
        connection.execute("insert into batches values (?, 'in_progress', ?)", (batch_id, len(rows)))
        connection.executemany("insert into requests (batch_id, custom_id, params) values (?, ?, ?)", rows)
    return Batch(id=batch_id, processing_status="in_progress", request_counts={"processing": len(rows)})


@app.get("/v1/messages/batches/{batch_id}")
def retrieve(batch_id: str) -> Batch:
    with database() as connection:
        row = connection.execute("select status, total from batches where id = ?", (batch_id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return Batch(id=batch_id, processing_status=row[0], request_counts={"processing": row[1]})


def main() -> None:
    with database() as connection:
        connection.executescript(SCHEMA)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
