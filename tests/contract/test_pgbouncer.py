"""Behind a real pgbouncer, where this machine has one: session mode works, the others are refused at the start."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchyard.domain.errors import DataRefused
from batchyard.ports import Hearer, Pick
from batchyard.store.postgres import PostgresStore
from batchyard.store.postgres_keys import PostgresKeys
from batchyard.store.postgres_news import News
from batchyard.testing.factories import MODEL, NOW, a_batch, drafts, later, origin, succeeded
from tests.contract.yard import Run
from tests.postgres import Cluster, _answers, _free_port, shared

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed"),
]
INI = """
[databases]
postgres = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
"""


@contextmanager
def pooled(cluster: Cluster, mode: str) -> Iterator[str]:
    """Start a pooler of this mode; yield the URL of a schema of its own through it."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        folder.chmod(0o755)
        (folder / "users").write_text('"batchyard" ""\n')
        (folder / "ini").write_text(INI.format(server=cluster.port, port=port, folder=folder, mode=mode))
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(["pgbouncer", *user, str(folder / "ini")], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while not _answers(port):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            schema = cluster.schema_url().partition("?")[2]
            yield f"postgresql://batchyard@127.0.0.1:{port}/postgres?{schema}"
        finally:
            process.terminate()
            process.wait(20)


def test_a_pool_in_session_mode_serves(run: Run) -> None:
    async def live(url: str) -> None:
        news = News(url)
        store = await PostgresStore.open(url, news=news)
        batch = await store.create(a_batch(), drafts(5), origin(), defend=False)
        await store.beat("o1", NOW)
        leases = (await store.turn("o1", [], [Pick(batch.id, MODEL, 5)], later(60))).leases
        turn = await store.turn("o1", [succeeded(lease) for lease in leases], [], later(61))
        assert turn.ripe == [batch.id]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(news.listen(Hearer("o1", lambda: None, lambda: None, lambda _batch: None)), 0.3)
        await store.close()

    with pooled(shared(), "session") as url:
        run(live(url))
        PostgresKeys(url).close()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pool_that_shares_sessions_is_refused_before_anything_is_written(run: Run, mode: str) -> None:
    with pooled(shared(), mode) as url:
        with pytest.raises(DataRefused, match="pool_mode = session"):
            run(PostgresStore.open(url))
        with pytest.raises(DataRefused, match="pool_mode = session"):
            PostgresKeys(url)

        schema = url.rpartition("=")[2]
        assert shared().ask("select 1 from pg_namespace where nspname = $1", schema) == []
        assert shared().ask("select 1 from pg_tables where schemaname = 'public'") == []
