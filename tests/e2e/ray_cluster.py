"""A Ray cluster of loopback, for tests: run with the Python of ``.venv-ray``. It obeys lines on its standard input.

``kill N``: kill node N as a power cut would. ``hold SECONDS``: freeze what the cluster asks for names for so long. It
ends when its input does.
"""

import os
import signal
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

NODES = 2
MEMORY = 80_000_000


def main() -> None:
    head = {"num_cpus": 0, "node_ip_address": "127.0.0.2", "include_dashboard": False, "object_store_memory": MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [
        cluster.add_node(
            num_cpus=2, node_ip_address=f"127.0.0.{number}", resources={"dispatch": 2}, object_store_memory=MEMORY
        )
        for number in range(3, 3 + NODES)
    ]
    print(f"ray {cluster.address}", flush=True)  # noqa: T201 what it is for
    for line in sys.stdin:
        verb, number = line.split()
        if verb == "kill":
            cluster.remove_node(nodes[int(number)], allow_graceful=False)
        elif verb == "hold":
            hold(float(number))
        print("done", flush=True)  # noqa: T201 as above
    ray.shutdown()
    cluster.shutdown()


def hold(seconds: float) -> None:
    """Freeze the process that the cluster asks for names, then let it go on."""
    ours = [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if is_names(folder)]
    assert ours, "no gcs_server of ours was found"
    for pid in ours:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in ours:
        os.kill(pid, signal.SIGCONT)


def is_names(folder: Path) -> bool:
    """Whether this is a ``gcs_server`` that we started."""
    try:
        command = (folder / "cmdline").read_bytes()
        parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return False
    return b"gcs_server" in command.split(b"\0")[0] and parent == os.getpid()


if __name__ == "__main__":
    main()
