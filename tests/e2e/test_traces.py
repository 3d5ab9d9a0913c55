"""A server with a collector: spans of attempts reach it, linked to the create, over a restart too."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.processes import ServerProcess

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                request = ExportTraceServiceRequest()
                body = self.rfile.read(int(self.headers["content-length"]))
                request.ParseFromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name is the library's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_every_attempt_has_a_span_that_leads_to_its_create_over_a_restart_too(
    tmp_path: Path, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    (tmp_path / "batchyard.toml").write_text(f'[watch]\ntraces = "{collector.url}"\n')
    with ServerProcess(tmp_path / "data", "--concurrency", "2") as server:
        batch = server.create(40, headers=headers)["id"]
        until = time.monotonic() + 60
        while server.call("GET", f"/v1/messages/batches/{batch}")["request_counts"]["succeeded"] < 5:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert server.stop() == 0
        before = len(collector.spans)
        server.start()
        while server.call("GET", f"/v1/messages/batches/{batch}")["processing_status"] != "ended":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.stop() == 0

    attempts = [span for span in collector.spans if span.name.startswith("chat ")]
    [whole] = [span for span in collector.spans if span.name == "batch"]
    assert 0 < before < 40
    assert len(attempts) == 40
    assert {(link.trace_id.hex(), link.span_id.hex()) for span in attempts for link in span.links} == {(TRACE, SPAN)}
    assert all(len(span.links) == 1 for span in attempts)
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, SPAN)
    seqs = {one.value.int_value for span in attempts for one in span.attributes if one.key == "batchyard.request.seq"}
    assert seqs == set(range(40))


def test_a_collector_that_is_not_there_delays_nothing_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text('[watch]\ntraces = "http://127.0.0.1:9"\nlog_level = "debug"\n')
    with ServerProcess(tmp_path / "data") as server:
        batch = server.create(5)["id"]
        until = time.monotonic() + 60
        while server.call("GET", f"/v1/messages/batches/{batch}")["processing_status"] != "ended":
            assert time.monotonic() < until
            time.sleep(0.05)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 60
        told = [json.loads(line) for line in server.log().splitlines()]
        assert any(line["event"] == "library" and "opentelemetry" in line["logger"] for line in told)
        finished = [line for line in told if line["event"] == "attempt_finished"]
        assert {(line["batch"], line["seq"], line["attempt"]) for line in finished} == {(batch, n, 1) for n in range(5)}
