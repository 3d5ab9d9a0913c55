"""Bugs planted where nothing may be lost: full disks, clocks, backups."""

from tests.planted.bug import Bug

ROOM = "tests/unit/test_room.py"
SAFETY = "tests/simulation/test_safety.py"
CREATE = "tests/wire/test_create.py"
CLOCK = "tests/unit/test_clock.py"
FOLDER = "tests/e2e/test_folder.py"
STOPPED = "tests/simulation/test_stopped.py"
DAMAGE = "tests/unit/test_sqlite_damage.py"
LIFE = "tests/simulation/test_life.py"
POWER = "tests/power/test_power_loss.py"
STORIES = "tests/simulation/test_stories.py"
WITHHELD = "tests/simulation/test_withheld.py"

SAFE = [
    Bug(
        "calls are made though the disk is nearly full",
        "dispatch/dispatcher.py",
        " and now < self._attempts.alive_until and self._may_store()",
        " and now < self._attempts.alive_until",
        SAFETY,
    ),
    Bug(
        "a disk that was freed is not looked at",
        "dispatch/room.py",
        "if now < self._look_at:",
        "if self._missing or now < self._look_at:",
        ROOM,
    ),
    Bug("what the end of batches takes is not held back", "blobs/space.py", " - self._owed()", "", ROOM),
    Bug(
        "a small disk is all reserve", "blobs/space.py", "min(self._reserve_bytes, ", "max(self._reserve_bytes, ", ROOM
    ),
    Bug(
        "two creates count on the same room",
        "web/room.py",
        "self._space.spare() - self._shares.all",
        "self._space.spare()",
        ROOM,
    ),
    Bug(
        "a refused create keeps its promise",
        "web/room.py",
        "            self._shares.add(workspace, -promise.left)\n",
        "            pass\n",
        ROOM,
    ),
    Bug(
        "a create takes no look at the disk",
        "web/creates.py",
        "self._room(call, announced(call))",
        "self._room(call, 0)",
        CREATE,
    ),
    Bug(
        "rows are stored without room for them",
        "web/creates.py",
        "            promise.grow(ROW_BYTES * len(intake.drafts))\n",
        "",
        CREATE,
    ),
    Bug("a restart believes the wall clock", "app/clock.py", "note.epoch if note and same else max(", "max(", CLOCK),
    Bug("another boot is not seen", "app/clock.py", 'note.boot == self._machine.boot != ""', "note.boot", CLOCK),
    Bug(
        "the clock is noted while it may be wrong",
        "app/clock.py",
        "if now >= self._note_at and not self.holds():",
        "if now >= self._note_at:",
        CLOCK,
    ),
    Bug(
        "the clock follows the wall clock",
        "app/clock.py",
        "        apart = self._machine.wall()",
        "        self._epoch = self._machine.wall() - self._machine.running()\n        apart = self._machine.wall()",
        CLOCK,
    ),
    Bug("held deadlines expire", "dispatch/upkeep.py", "        if not self._holds():\n", "        if True:\n", LIFE),
    Bug(
        "results go by age while deadlines are held",
        "dispatch/upkeep.py",
        "        if self._holds():\n            return\n",
        "",
        LIFE,
    ),
    Bug(
        "anybody may ask for a backup",
        "web/folder.py",
        "if not hmac.compare_digest(",
        "if False and not hmac.compare_digest(",
        FOLDER,
    ),
    Bug(
        "a file that went during a backup is left out",
        "backup.py",
        "        if not set(missing) - set(missing_before):",
        "        if True:",
        FOLDER,
    ),
    Bug(
        "a backup trusts what is there",
        "backup.py",
        "there.exists() and blob_check.problem(there) is None",
        "there.exists()",
        FOLDER,
    ),
    Bug("a backup keeps what was deleted", "backup.py", "            path.unlink()\n", "            pass\n", FOLDER),
    Bug(
        "a check reads the first block alone",
        "blobs/check.py",
        "range(0, content.size, step)",
        "range(0, min(1, content.size), step)",
        "tests/unit/test_file_blobs.py",
    ),
    Bug(
        "a refusal does not name the backup",
        "store/backups.py",
        '{backup.folder} of {backup.made_at}"\n\n\ndef known',
        '"\n\n\ndef known',
        FOLDER,
    ),
    Bug(
        "a check does not count", "store/check.py", "        if found != wanted:", "        if found > wanted:", FOLDER
    ),
    Bug(
        "a broken batch stops the server",
        "dispatch/dispatcher.py",
        "            except Exception as bug:  # noqa: BLE001 an invariant of one batch must not stop the others\n"
        "                return await self._turn_apart(settlements, picked, bug)\n",
        "",
        STOPPED,
    ),
    Bug(
        "a broken batch stops its neighbours",
        "dispatch/dispatcher.py",
        "        if len(batches) == 1:\n            self._stopped",
        "        if batches:\n            self._stopped",
        STOPPED,
    ),
    Bug(
        "a stopped batch is leased again",
        "dispatch/queue.py",
        "now < waiting.batch.expires_at\n            and batch not in self._stopped\n",
        "now < waiting.batch.expires_at\n",
        STOPPED,
    ),
    Bug(
        "a batch that cannot be sealed is tried for ever",
        "dispatch/upkeep.py",
        " if batch.id not in self._stopped]",
        "]",
        STOPPED,
    ),
    Bug(
        "a duty tells of damage each second",
        "dispatch/upkeep.py",
        "            self._damage_told.add(told)\n",
        "",
        STOPPED,
    ),
    Bug(
        "damage is called an outage",
        "store/database.py",
        "kind = StoreDamaged if is_damage(fault) else StoreUnavailable",
        "kind = StoreUnavailable",
        DAMAGE,
    ),
    Bug(
        "the culprit is not told from its neighbours",
        "store/writer.py",
        "and fault.job is job",
        "and fault.job is None",
        DAMAGE,
    ),
    Bug("a start leaves what no batch names", "app/folder.py", "if name not in needed]", "if False]", FOLDER),
    Bug("a start deletes what batches need", "app/folder.py", "if name not in needed]", "]", FOLDER),
    Bug(
        "a lease that was on its way at a cancel is sent",
        "dispatch/dispatcher.py",
        "        self._withheld.add(batch)",
        "        self._withheld.discard(batch)",
        WITHHELD,
    ),
    Bug(
        "what waits for others' calls waits on after its cancel",
        "dispatch/running.py",
        "                attempt.withheld = True\n                attempt.give_up()",
        "                attempt.withheld = True",
        "tests/simulation/test_withheld.py",
    ),
    Bug(
        "what waits for others' calls waits on past its deadline",
        "dispatch/running.py",
        "            elif late >= 0.0:",
        "            elif late >= 30.0:",
        "tests/simulation/test_withheld.py",
    ),
    Bug(
        "a leased request is sent after the cancel",
        "dispatch/attempts.py",
        " and now < attempt.must_begin_by and not attempt.withheld",
        " and now < attempt.must_begin_by",
        WITHHELD,
    ),
    Bug(
        "a call that connects is sent after the deadline",
        "dispatch/attempts.py",
        ", is_wanted=lambda: self._may_send(attempt),",
        ",",
        WITHHELD,
    ),
    Bug(
        "what was not sent is held against the server",
        "dispatch/attempts.py",
        "        if attempt.cut or (isinstance(outcome, NotStarted) and not self._may_send(attempt)):",
        "        if attempt.cut:",
        WITHHELD,
    ),
    Bug(
        "a held deadline cuts calls",
        "dispatch/upkeep.py",
        "        if not self._holds():\n            self._cut_overdue()",
        "        self._cut_overdue()\n        if not self._holds():\n            pass",
        WITHHELD,
    ),
    Bug(
        "a plain call is sent though it is wanted no more",
        "upstream/http1.py",
        "        if not is_wanted():\n            return self._unsent(connection)\n        waiter =",
        "        waiter =",
        "tests/contract/test_upstream_wanted.py",
    ),
    Bug(
        "a streamed call is sent though it is wanted no more",
        "upstream/http1.py",
        "        if not is_wanted():\n            return self._unsent(connection)\n        flow =",
        "        flow =",
        "tests/contract/test_upstream_wanted.py",
    ),
    Bug(
        "an owner that was frozen reclaims its own calls",
        "dispatch/upkeep.py",
        "            if owner == self._own:",
        '            if owner == "":',
        SAFETY,
    ),
    Bug(
        "a body stays when its batch is deleted",
        "web/deletes.py",
        "        for name in [batch.body, *(",
        "        for name in [*(",
        "tests/e2e/test_deletion.py",
    ),
    Bug(
        "what is deleted stays in the log",
        "store/writer.py",
        "        if self._wipe_by is None:\n            self._wipe_by = time.monotonic() + WIPE_LATEST_SECONDS",
        "        return",
        "tests/e2e/test_deletion.py",
    ),
    Bug(
        "what is deleted stays in free pages",
        "store/database.py",
        '    "secure_delete": 1,\n',
        '    "secure_delete": 0,\n',
        "tests/e2e/test_deletion.py",
    ),
    Bug(
        "a stop cuts what is in flight",
        "app/process.py",
        "        timeout = self._settings.drain_timeout.total_seconds()",
        "        timeout = 0.0",
        "tests/e2e/test_signals.py",
    ),
    Bug("a boot with an old clock stops all that waits", "app/clock.py", "max(wall, latest)", "wall", CLOCK),
    Bug(
        "the time of day is noted but once",
        "app/clock.py",
        "self._note_at = now + NOTE_SECONDS",
        'self._note_at = float("inf")',
        CLOCK,
    ),
    Bug(
        "a batch past its deadline keeps the dispatcher spinning",
        "dispatch/queue.py",
        "            and waiting.due_at < waiting.batch.expires_at > now",
        "            and waiting.due_at < waiting.batch.expires_at",
        "tests/unit/test_queue.py",
    ),
    Bug(
        "a batch of a later time waits for it",
        "dispatch/queue.py",
        "return _ALWAYS if ready.next_ready_at <= ready.created_at else",
        "return",
        "tests/simulation/test_safety.py",
    ),
    Bug(
        "a store that fails at the start ends the server",
        "dispatch/dispatcher.py",
        '        beats = asyncio.create_task(self._heartbeat.run(), name="heartbeat")',
        "        await self._heartbeat._beat()\n"
        '        beats = asyncio.create_task(self._heartbeat.run(), name="heartbeat")',
        STORIES,
    ),
    Bug(
        "calls past their deadline run on while the store fails",
        "dispatch/upkeep.py",
        "            self._cut_overdue()  # whatever the store can do\n",
        "            await self._store.expire(self._clock.now())\n            self._cut_overdue()\n",
        "tests/simulation/test_withheld.py",
    ),
    Bug(
        "a power loss takes what was acknowledged",
        "store/database.py",
        '    "synchronous": 2,  # FULL: NORMAL loses',
        '    "synchronous": 1,  # FULL: NORMAL loses',
        POWER,
    ),
    Bug(
        "bytes of a file are not synced",
        "blobs/writer.py",
        "        self._disk.sync(self._file.descriptor)\n",
        "",
        POWER,
    ),
    Bug(
        "the name of a file is not synced",
        "blobs/writer.py",
        "        self._disk.sync_folder(self._path.parent)\n",
        "",
        POWER,
    ),
    Bug(
        "a file has its name before its bytes are synced",
        "blobs/writer.py",
        "        self._disk.sync(self._file.descriptor)\n        self._file = None\n"
        "        self._disk.rename(self._part, self._path)\n",
        "        self._disk.rename(self._part, self._path)\n        self._file = None\n",
        POWER,
    ),
    Bug(
        "files are gone before the delete is durable",
        "dispatch/upkeep.py",
        "        if ended is not None and ended.ended_at is not None:\n",
        "        await self._blobs.delete(batch.body)\n"
        "        if ended is not None and ended.sealed is not None and ended.ended_at is not None:\n"
        "            await self._blobs.delete(ended.sealed.index)\n",
        POWER,
    ),
    Bug(
        "a body goes though its commit may be found after a death",
        "store/writer.py",
        '            raise CommitUnknown(f"commit: {explained(fault)}") from fault',
        "            raise",
        "tests/inject/test_inject.py",
    ),
    Bug(
        "files stay when the answer of a delete was lost",
        "web/deletes.py",
        "            self._doubts.add(doubt)\n",
        "            doubt.cancel()\n",
        STORIES,
    ),
]
