"""Processes of different roles on one PostgreSQL: who does what, and restarts one after the other."""

import json
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from batchyard.cli.main import status
from tests.e2e.processes import ServerProcess
from tests.e2e.test_postgres import SLOTS, Fleet, fleet

MESSAGE = json.dumps(
    {
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "somebody waits"}],
    }
).encode()


def test_an_api_and_dispatchers_share_the_work_and_are_restarted_in_turn(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api", "dispatch", "dispatch", "api"), lease="30s", latency=0.05) as here:
        api, one, other, _ = here.servers
        batch = api.create(600)["id"]
        owners = api.call("GET", "/batchyard/v1/owners")["owners"]
        assert [(owner["lives"], owner["carriers"]) for owner in owners] == [(True, 0), (True, 0)]
        for server in (one, api, other):
            time.sleep(0.2)
            assert server.stop() == 0
            server.start()
        here.until_ended(batch, 600)

        here.check(batch, 600, repeated=0)


def test_dispatchers_that_just_came_share_the_limit(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("all", "dispatch", "dispatch"), lease="600s", latency=0.3) as here:
        until_known(here.servers, 3)  # heartbeats come each 200 s by themselves
        batch = here.servers[0].create(150)["id"]
        here.until_ended(batch, 150)

        assert here.upstream.most_in_flight <= SLOTS


def test_a_dispatcher_that_drains_is_gone_at_once(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("all", "dispatch"), lease="600s") as here:
        stays, goes = here.servers
        until_known(here.servers, 2)

        assert goes.stop() == 0

        [owner] = stays.call("GET", "/batchyard/v1/owners")["owners"]
        assert (owner["lives"], owner["leases"]) == (True, 0)
        until_known([stays], 1)  # it has the whole limit again


def test_what_a_second_signal_cuts_goes_to_the_others_at_once(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api", "dispatch", "api"), lease="600s", latency=600.0) as here:
        cut = here.servers[1]
        batch = here.servers[0].create(40)["id"]
        until_called(here)
        assert cut.process is not None
        cut.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while cut.raw("GET", "/readyz")[0] != 503:  # two signals that come together are one
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert cut.stop() == 0

        assert here.servers[0].call("GET", "/batchyard/v1/owners")["owners"] == []
        here.upstream.latency = 0.05
        cut.start()
        here.until_ended(batch, 40)
        here.check(batch, 40, repeated=SLOTS)


def test_a_frozen_dispatcher_is_shown_with_what_it_holds_until_somebody_takes_it(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api", "dispatch"), latency=60.0) as here:
        api, frozen = here.servers
        api.create(40)
        until_called(here)
        assert frozen.process is not None
        os.kill(frozen.process.pid, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + 60
            while (owner := only_owner(api))["lives"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert owner["leases"] == SLOTS
            assert owner["seconds_since_heartbeat"] >= 1.0  # the lease
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        while not only_owner(api)["lives"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_after_the_answer_to_a_cancel_no_process_begins_a_call_of_what_it_had_leased(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api", "dispatch"), lease="600s", latency=2.0) as here:
        api = here.servers[0]
        words = "x" * (30 << 20)  # a dispatcher holds four such at once; the fifth waits for its memory, leased
        batch = api.create(5, words=words)["id"]
        deadline = time.monotonic() + 60
        while only_owner(api)["leases"] < 5 or here.upstream.in_flight < 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        api.call("POST", f"/v1/messages/batches/{batch}/cancel")
        here.until_ended(batch, 5)

        counts = api.call("GET", f"/v1/messages/batches/{batch}")["request_counts"]
        assert (counts["succeeded"], counts["canceled"]) == (4, 1)
        assert sum(here.upstream.calls.values()) == 4


def only_owner(server: ServerProcess) -> dict[str, Any]:
    [owner] = server.call("GET", "/batchyard/v1/owners")["owners"]
    return dict(owner)


def until_called(here: Fleet) -> None:
    """Wait until the upstream has been called as often as it may be at once."""
    deadline = time.monotonic() + 60
    while here.upstream.in_flight < SLOTS:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_known(servers: Sequence[ServerProcess], owners: int) -> None:
    """Wait until each has seen so many owners at its last heartbeat."""
    deadline = time.monotonic() + 60
    while {known_owners(server) for server in servers} != {owners}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def known_owners(server: ServerProcess) -> int:
    """How many owners this one saw at its last heartbeat."""
    _, text = server.raw("GET", "/metrics")
    [value] = re.findall(r"^batchyard_owners (\S+)$", text.decode(), re.MULTILINE)
    return int(float(value))


def test_each_role_serves_its_own_paths_and_names_the_other(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api", "dispatch")) as here:
        api, dispatcher = here.servers

        status, answer = api.raw("POST", "/v1/messages", MESSAGE)
        assert (status, b"role dispatch or all" in answer) == (403, True)
        assert dispatcher.call("POST", "/v1/messages", MESSAGE)["content"][0]["text"] == "somebody waits"
        for path in (
            "/v1/messages/batches",
            "/v1/messages/batches/msgbatch_1/results",
            "/batchyard/v1/batches/x/attempts",
        ):
            status, answer = dispatcher.raw("GET", path)
            assert (status, b"role api or all" in answer) == (403, True)
        for server in here.servers:
            assert server.call("GET", "/readyz") == {"status": "ready"}


def test_owners_are_listed_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anything")
    with fleet(tmp_path, roles=("dispatch", "all")) as here:
        assert status(["owners", "--base-url", here.servers[0].url]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert status(["owners", "--base-url", here.servers[1].url, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["owners"]

    assert shown[0].split() == ["id", "state", "heartbeat", "in", "flight", "carriers"]
    assert {line.split()[0] for line in shown[1:]} == {owner["id"] for owner in told}
    assert [(owner["lives"], owner["leases"]) for owner in told] == [(True, 0), (True, 0)]


def test_an_api_that_stops_finishes_the_answers_under_way(tmp_path: Path) -> None:
    with fleet(tmp_path, roles=("api",)) as here:
        assert here.servers[0].create(3)["processing_status"] == "in_progress"
        assert here.servers[0].stop() == 0

    assert not here.upstream.calls
