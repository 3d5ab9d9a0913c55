"""`make demo`: a real file through a server of its own on the embedded default, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUT = ROOT / "examples" / "products-and-reviews.jsonl"
PROGRAM = [sys.executable, "-m", "batchyard"]
START_SECONDS, STOP_SECONDS, JOB_SECONDS = 60, 60, 600
LATENCY = {"BATCHYARD_SIMULATOR_LATENCY": "400ms", "BATCHYARD_SIMULATOR_JITTER": "0.5"}
"""About as slow as a small model, so that there is a progress to see."""


def main() -> int:
    """Run the demo; return its exit status."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHYARD_", "ANTHROPIC_"))}
    with tempfile.TemporaryDirectory(prefix="batchyard-demo-") as name:
        folder = Path(name)
        log = folder / "server.log"
        with log.open("wb") as errors:
            server = subprocess.Popen(
                [*PROGRAM, "serve", "--port", "0", "--data", str(folder / "data")],
                cwd=folder,
                env=ours | LATENCY,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for this script, which then stops the server
            )
        failed = 1
        try:
            failed = show(server, folder, ours)
        finally:
            failed = stop(server) or failed
            if failed:
                print("\nThe demo failed. What the server wrote last:", file=sys.stderr)
                print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        return failed


def show(server: "subprocess.Popen[bytes]", folder: Path, environment: dict[str, str]) -> int:
    """Wait for the server, run the job, print some results; return 0 if all went well."""
    assert server.stdout is not None
    watchdog = threading.Timer(START_SECONDS, server.kill)
    watchdog.start()
    line = server.stdout.readline().decode().strip()
    watchdog.cancel()
    if not line.startswith("Batchyard is listening on "):
        return 1
    url = line.rsplit(" ", 1)[1]
    print(f"{line}\n")
    results = folder / "results.jsonl"
    command = ["run", str(INPUT), "-o", str(results)]
    print(f"$ batchyard {' '.join(['run', str(INPUT.relative_to(ROOT)), '-o', results.name])}", flush=True)
    job = subprocess.run(
        [*PROGRAM, *command], env=environment | {"ANTHROPIC_BASE_URL": url}, check=False, timeout=JOB_SECONDS
    )
    if job.returncode:
        return job.returncode
    shown = {"product-001", "product-002", "review-001", "review-002"}
    print("\nSome of the results (no model was there: the built-in simulator made them up):", flush=True)
    for line in results.read_text().splitlines():
        result = json.loads(line)
        if result["custom_id"] in shown:
            text = " ".join(block.get("text", "") for block in result["result"]["message"]["content"])
            print(f"\n{result['custom_id']}\n{textwrap.indent(textwrap.fill(text, 90), '    ')}")
    subprocess.run([*PROGRAM, "list"], env=environment | {"ANTHROPIC_BASE_URL": url}, check=True, timeout=60)
    return 0


def stop(server: "subprocess.Popen[bytes]") -> int:
    """Stop the server as an operator would; return 0 if it left in order."""
    server.send_signal(signal.SIGTERM)
    try:
        left = server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        left = 1
    if server.stdout is not None:
        server.stdout.close()
    print("\nThe server has stopped." if left == 0 else f"\nThe server left with {left}.", flush=True)
    return left


if __name__ == "__main__":
    sys.exit(main())
