"""Bugs planted in what runs on the nodes of a cluster."""

from tests.planted.bug import Bug

PLACE = "tests/unit/test_cluster.py"

CLUSTER = [
    Bug(
        "an engine's death is not noticed",
        "cluster/place.py",
        "        os._exit(1)\n",
        "        return\n",
        PLACE,
    ),
    Bug(
        "an engine is not awaited",
        "cluster/place.py",
        "        while not _answers(url + self._spec.engine_path):\n",
        "        while False:\n",
        PLACE,
    ),
]
