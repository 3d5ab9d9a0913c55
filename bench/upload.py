"""Creates one batch from a file and prints how long it took, from the first byte sent to the answer read.

A process of its own: sending hundreds of megabytes must not disturb what another measures at the same time.

    python -m bench.upload http://127.0.0.1:8787 body.json
"""

import json
import sys
import time
from pathlib import Path

from bench.client import Client


def main() -> None:
    url, body = sys.argv[1], Path(sys.argv[2])
    client = Client(url)
    began = time.perf_counter()
    batch = client.create(body)
    print(json.dumps({"batch": batch, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
