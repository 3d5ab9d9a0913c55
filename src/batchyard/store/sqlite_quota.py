"""What a workspace has in the SQLite store."""

import apsw

from batchyard.domain.quota import Load

_RUNNING = (
    "select coalesce(sum(open), 0), count(*), coalesce(sum(bytes), 0) from batches indexed by batches_live"
    " where ended_at is null and workspace = ?"
)
"""Batches that have not ended are few, whatever was before."""
_KEPT = (
    "select coalesce(sum(size + bytes), 0) from batches indexed by batches_kept"
    " where results is not null and workspace = ?"
)
"""The index alone answers: no row of an ended batch is read."""


def load(connection: apsw.Connection, workspace: str) -> Load:
    """Return it as it is at this moment."""
    requests, batches, bodies = connection.execute(_RUNNING, (workspace,)).get
    return Load(requests, batches, bodies + connection.execute(_KEPT, (workspace,)).get)
