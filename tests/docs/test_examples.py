"""examples/: every script runs with the newest and the oldest SDK and prints what it should; every input runs through.

Scripts run as a reader runs them, in a process of their own. The table here names each of them.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import ServerProcess
from tests.sdk import tools

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES / "README.md").read_text()
SHARED = {"sample.py", "sample.mjs"}
TOO_NEW_FOR_THE_OLDEST = {"delete_batch.py"}
"""The first Python SDK with ``client.messages.batches`` cannot delete."""
OF_BATCHYARD = {"bulk_job.py", "bulk_helpers.py"}
"""Scripts that import ``batchyard.client``, which is beside the newest SDK alone."""
SECONDS = 120
ID = r"msgbatch_\w{24}"
ANSWER = r"This is a simulated answer"

PRINTED: dict[str, tuple[str, ...]] = {
    "async_batch.py": ("capital-peru: succeeded", "capital-kenya: succeeded", "capital-norway: succeeded"),
    "basic_batch.py": (f"Batch ID: {ID}", "Status: in_progress"),
    "batch_with_tools.py": ("weather-sf: stopped for tool_use", r"Tool: get_weather with \{'location': '[^']+'\}"),
    "bulk_helpers.py": ("Batches: 3", r"Sent again: question-\d+", "question-0: succeeded", "question-24: succeeded"),
    "bulk_job.py": (r"Created msgbatch_\w{24}", "review-0: This is a simulated answer", "20 of 20 succeeded"),
    "cancel_batch.py": ("Status: canceling", "Status: ended", r"Canceled: [1-9]\d*", "can no longer be canceled"),
    "check_status.py": ("Status: (in_progress|ended)", r"Succeeded: \d/3", "Errored: 0", "Canceled: 0", "Expired: 0"),
    "classify_reviews.py": ("Status: in_progress", "review-1: positive", "review-2: negative"),
    "custom_ids.py": (r"User u17, question q2 \('Can I have my invoices by post\?'\): succeeded", "Refused: 400"),
    "delete_batch.py": (f"Deleted: {ID}", "It is gone"),
    "get_results.py": (f"question-tides: {ANSWER}", f"question-bread: {ANSWER}", f"question-rust: {ANSWER}"),
    "handle_errors.py": (
        "fine: done",
        "no-room: invalid_request_error: max_tokens: must be greater than or equal to 1",
        "no-model: not_found_error: model: no-such-model",
        "bad-luck: overloaded_error: ",
        "Sent again: bad-luck\n",
        "bad-luck: succeeded the second time",
        "refused with 400",
    ),
    "large_scale.py": (f"Batch {ID}: 2000 requests", r"Saved 2000 results to \S+results\.jsonl"),
    "list_batches.py": (
        rf"({ID}: \w+\n){{3,}}Listed: \d+",
        f"First page: {ID} {ID}\n",
        f"Next page: {ID}",
    ),
    "monitor_batch.py": (r"Progress: \d+\.\d% \(\d+/300\)", r"Progress: 100\.0% \(300/300\)"),
    "pdf_documents.py": (r"doc-minutes: .*a PDF document \(1 page", r"doc-notice: .*a PDF document \(1 page"),
    "poll_until_complete.py": ("Batch complete!",),
    "process_results.py": (f"question-bread -> {ANSWER}", f"question-tides -> {ANSWER}", "3 results"),
    "cancel-batch.mjs": ("Status: canceling", "Status: ended", r"Canceled: [1-9]\d*"),
    "cancel-message-batch.mjs": ("Status: canceling",),
    "check-batch-status.mjs": ("Status: (in_progress|ended)", r"Succeeded: \d", "Errored: 0", r"Processing: \d"),
    "check-status.mjs": ("Status: (in_progress|ended)", r"Succeeded: \d", r"Processing: \d", "Errored: 0"),
    "classify-reviews.mjs": (
        rf"Batch created: {ID} \(6 reviews\)",
        r"Status: ended \| Done: 6",
        "positive: I love it",
        "negative: Broke after two days",
        "neutral: It is a kettle",
    ),
    "create-batch.mjs": (f"Batch ID: {ID}", "Status: in_progress"),
    "create-message-batch.mjs": (f"Batch ID: {ID}", "Status: in_progress"),
    "create-review-batch.mjs": (f"Batch ID: {ID}", "Status: in_progress"),
    "get-batch-results.mjs": ("id: 'question-tides',", "type: 'succeeded',", f"text: '{ANSWER}", "error: null"),
    "handle-errors.mjs": (
        "task-1: succeeded",
        "task-2: invalid_request_error: max_tokens: must be greater than or equal to 1",
        "API Error 400: .*unique within a batch",
    ),
    "list-batches.mjs": (rf"({ID} \w+ succeeded: \d+ errored: \d+\n){{3,}}Listed: \d+",),
    "poll-for-completion.mjs": ("Batch complete!", "Succeeded: 2", "Errored: 0"),
    "product-descriptions.mjs": (
        "Creating batch with 3 requests",
        "Final counts - succeeded: 3, errored: 0",
        rf"--- product-002 ---\n{ANSWER}.*\nTokens: \d+ in / \d+ out",
        "--- product-003 ---",
    ),
    "retrieve-results.mjs": (rf"\[question-tides\]: {ANSWER}", rf"\[question-bread\]: {ANSWER}"),
    "switch-on-results.mjs": (
        rf"\[fine\] {ANSWER}",
        r"\[wrong\] Validation error - fix and retry",
        r"\[unlucky\] Server error - safe to retry",
    ),
}
"""Script -> what its output holds, in this order, as regular expressions."""

ALL_PYTHON = """
import runpy, sys
folder, *names = sys.argv[1:]
sys.path[0] = folder
for name in names:
    print("===", name, flush=True)
    sys.argv = [name]
    runpy.run_path(f"{folder}/{name}", run_name="__main__")
"""
ALL_TYPESCRIPT = """
for (const name of NAMES) {
  console.log("===", name);
  await import(`./${name}`);
}
"""
"""With the oldest SDKs all scripts run in one process: loading an SDK takes longer than most scripts."""

PYTHON = sorted(name for name in PRINTED if name.endswith(".py"))
TYPESCRIPT = sorted(name for name in PRINTED if name.endswith(".mjs"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("examples") / "data") as running:
        yield running


def folder_of_scripts(folder: Path, package: str) -> Path:
    """Return the scripts beside a ``node_modules`` that holds this package under the name that they import."""
    _, packages = tools.node_with_packages()
    for script in (EXAMPLES / "typescript").glob("*.mjs"):
        (folder / script.name).write_bytes(script.read_bytes())
    (folder / "node_modules" / "@anthropic-ai").mkdir(parents=True)
    (folder / "node_modules" / "@anthropic-ai" / "sdk").symlink_to(packages / "node_modules" / package)
    return folder


@pytest.fixture(scope="module")
def newest_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_scripts(tmp_path_factory.mktemp("node"), "@anthropic-ai/sdk")


def output(command: list[str], server: ServerProcess, folder: Path, **more: str) -> str:
    """Run an example; return what it printed on both channels. It must exit 0."""
    environ = tools.clean_environ(
        ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY="any", POLL_SECONDS="0.1", TMPDIR=str(folder), **more
    )
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def check_printed(name: str, printed: str) -> None:
    """Find what the table says, in its order."""
    place = 0
    for wanted in PRINTED[name]:
        found = re.compile(wanted).search(printed, place)
        assert found is not None, (wanted, printed)
        place = found.end()


def check_all_printed(names: list[str], printed: str) -> None:
    """The same for the scripts of one process, each with a line before its output."""
    parts = re.split(r"^=== (.+)\n", printed, flags=re.MULTILINE)
    assert parts[1::2] == names
    for name, part in zip(names, parts[2::2], strict=True):
        check_printed(name, part)


def test_every_script_is_tried_and_described() -> None:
    scripts = {path.name for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".mjs")} - SHARED

    assert scripts == set(PRINTED)
    assert [name for name in sorted(scripts) if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_script_runs_with_the_newest_sdk(server: ServerProcess, tmp_path: Path, name: str) -> None:
    ours = {"PYTHONPATH": str(EXAMPLES.parent / "src")} if name in OF_BATCHYARD else {}
    check_printed(name, output([sys.executable, str(EXAMPLES / "python" / name)], server, tmp_path, **ours))


def test_the_python_scripts_run_with_the_oldest_sdk(server: ServerProcess, tmp_path: Path) -> None:
    python = tools.python_with("oldest-ga-sdk")
    names = [name for name in PYTHON if name not in TOO_NEW_FOR_THE_OLDEST | OF_BATCHYARD]

    printed = output([str(python), "-c", ALL_PYTHON, str(EXAMPLES / "python"), *names], server, tmp_path)

    check_all_printed(names, printed)


@pytest.mark.parametrize("name", TYPESCRIPT)
def test_a_typescript_script_runs_with_the_newest_sdk(server: ServerProcess, newest_node: Path, name: str) -> None:
    check_printed(name, output(["node", name], server, newest_node))


def test_the_typescript_scripts_run_with_the_oldest_sdk(server: ServerProcess, tmp_path: Path) -> None:
    folder = folder_of_scripts(tmp_path, "sdk-oldest")
    (folder / "all.mjs").write_text(ALL_TYPESCRIPT.replace("NAMES", str(TYPESCRIPT)))

    printed = output(["node", "all.mjs"], server, folder)

    check_all_printed(TYPESCRIPT, printed)


@pytest.mark.parametrize("name", PYTHON)
def test_a_script_makes_its_client_of_the_environment_alone(name: str) -> None:
    text = (EXAMPLES / "python" / name).read_text()

    assert not re.search(r"Anthropic\([^)]", text)
    assert "base_url" not in text
