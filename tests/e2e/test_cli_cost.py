"""`batchyard estimate`, `run --max-cost` and `run --try`, as a shell sees them."""

import json
from pathlib import Path

import pytest

from tests.e2e.fake_api import FakeApi, running
from tests.e2e.test_cli import Shell, _no_server_is_named  # noqa: F401 - a fixture that is always on

OWN = ("--price", "m=2/10/1/5")


def write(folder: Path, count: int, *, max_tokens: int = 1_000) -> Path:
    """Requests of 500 tokens each, as the fake server counts them, which it answers with 3."""
    each = (
        {"custom_id": f"r{n}", "params": {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user"}]}}
        for n in range(count)
    )
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in each))
    return path


def test_an_estimate_counts_a_sample_and_shows_both_prices(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    server = FakeApi()
    server.counts_tokens = True
    with running(server):
        shell = Shell(capsysbinary, server)

        assert shell("estimate", write(tmp_path, 100), *OWN, "--output-tokens", "900", "--requests", "10000") == 0

    shown = shell.out.decode()
    assert len(server.counted) == 20
    assert server.counted[0] == {"model": "m", "messages": [{"role": "user"}]}
    assert [line.split() for line in shown.splitlines() if line.startswith(("m ", "100 ", "10,000"))] == [
        ["m", "100", "50,000", "90,000", "$1.00", "$0.50", "50", "%"],
        ["100", "$1.00", "$0.50", "50", "%"],
        ["10,000", "$100.00", "$50.00", "50", "%"],
    ]
    assert "tokens in: counted by the server on a sample" in shell.err
    assert server.batches == {}


def test_an_estimate_without_a_server_that_counts_says_so(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("estimate", write(tmp_path, 5), "--json", "--batch-requests", "3") == 0

    told = json.loads(shell.out)
    assert "tokens are estimated, not counted: the server refused: 404" in shell.err
    assert (told["input_tokens_are"], told["output_tokens_are"]) == ("estimated", "at most")
    assert (told["requests"], told["standard_usd"], told["models"][0]["batch_price"]) == (5, None, None)
    assert [part["requests"] for part in told["batches"]] == [3, 2]


def test_an_estimate_says_when_no_price_is_known(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("estimate", write(tmp_path, 5), "--no-count") == 0

    assert shell.out.decode().count("unknown") == 6
    assert "m: no price is known; give --price" in shell.err


def test_a_job_that_cannot_stay_within_its_cost_sends_nothing(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", write(tmp_path, 10), "-o", "out.jsonl", "--max-cost", "0.01", *OWN) == 2

    assert "--max-cost $0.01 would be passed: $0.00 are spent, and the next batch (10 requests)" in shell.err
    assert server.called("create") == []
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_batches_wait_for_those_before_them_where_the_worst_case_would_pass_the_limit(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi(looks=2)) as server:
        most = 0
        create = server._create

        async def count_open(request: object, batch_id: str) -> object:
            nonlocal most
            most = max(most, sum(not batch.has_ended for batch in server.batches.values()))
            return await create(request, batch_id)  # type: ignore[arg-type]

        server._create = count_open  # type: ignore[method-assign, assignment]
        shell = Shell(capsysbinary, server)
        options = ("-o", "out.jsonl", "--batch-requests", "2", "--max-cost", "0.012", *OWN)

        assert shell("run", write(tmp_path, 10), *options) == 0

    assert len(server.batches) == 5
    assert most == 0


def test_a_job_that_reaches_its_cost_stops_and_goes_on_with_a_higher_one(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    server = FakeApi()
    server.usage = {"input_tokens": 10, "output_tokens": 1_000}
    with running(server):
        shell = Shell(capsysbinary, server)
        command = ("run", write(tmp_path, 10), "-o", "out.jsonl", "--batch-requests", "2", *OWN)

        assert shell(*command, "--max-cost", "0.025") == 1
        assert "--max-cost $0.025 would be passed: $0.02" in shell.err
        assert len(server.batches) == 2
        assert shell(*command, "--max-cost", "$1") == 0

    assert len(server.batches) == 5
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 10


def test_answers_under_a_name_without_a_price_count_as_the_most_they_can_cost(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    server = FakeApi()
    server.answering_model = "m-2026-11-01"
    with running(server):
        shell = Shell(capsysbinary, server)
        command = ("run", write(tmp_path, 10), "-o", "out.jsonl", "--batch-requests", "2", *OWN)

        assert shell(*command, "--max-cost", "0.025") == 1

    assert len(server.batches) == 2


def test_a_first_request_is_sent_alone_and_is_part_of_the_job(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    server = FakeApi()
    server.usage = {"input_tokens": 500, "output_tokens": 900}
    with running(server):
        shell = Shell(capsysbinary, server)
        command = ("run", write(tmp_path, 10), "-o", "out.jsonl", *OWN)

        assert shell(*command, "--try", "1") == 0
        assert "r0: succeeded\n    ja – ü\n" in shell.err
        assert "500 tokens in, 900 tokens out; $0.005" in shell.err
        assert "all 10 requests like this cost $0.05" in shell.err
        assert "the same command without --try goes on" in shell.err
        assert not (tmp_path / "out.jsonl").exists()
        assert shell(*command) == 0

    assert [len(batch.requests) for batch in server.batches.values()] == [1, 9]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 10


def test_a_first_request_that_fails_ends_with_1(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"custom_id":"r0","params":{"fate":"errored"}}\n{"custom_id":"r1","params":{}}\n')
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell("run", path, "-o", "out.jsonl", "--try", "1") == 1

    assert "r0: errored\n    invalid_request_error: max_tokens" in shell.err
    assert [len(batch.requests) for batch in server.batches.values()] == [1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("run", "in.jsonl", "--max-cost", "much"), "--max-cost 'much' must be an amount of dollars, such as 12.50"),
        (("run", "in.jsonl", "--max-cost", "0"), "--max-cost '0' must be an amount of dollars"),
        (("run", "in.jsonl", "--max-cost", "5", "-o", "out.jsonl"), "--max-cost needs the price of 'm': give --price"),
        (("run", "in.jsonl", "--try", "1"), "--try needs -o OUTPUT"),
        (("estimate", "in.jsonl", "--price", "m"), "--price: 'm' is no price: write MODEL=IN/OUT"),
    ],
)
def test_wrong_use_is_told_and_makes_no_batch(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], arguments: tuple[str, ...], problem: str
) -> None:
    write(tmp_path, 3)
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)

        assert shell(*arguments) == 2

    assert problem in shell.err
    assert server.batches == {}
