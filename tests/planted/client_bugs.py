"""Bugs planted in the bulk client: batches made twice, results lost, a state that says what is not so."""

from tests.planted.bug import Bug

CREATES = "tests/e2e/test_client_creates.py"
JOB = "tests/e2e/test_client_job.py"
COST = "tests/e2e/test_cli_cost.py"
FORMS = "tests/unit/test_input_forms.py"
RUN = "tests/e2e/test_cli_run.py"
INPUT = "tests/unit/test_job_input.py"
API = "tests/e2e/test_client_api.py"
ROUNDS = "tests/e2e/test_client_rounds.py"
LIBRARY = "tests/e2e/test_client_library.py"

CLIENT = [
    Bug(
        "a create that may have made a batch is sent again to a server without keys",
        "client/api.py",
        "                if not (again or problem.had_no_effect):\n                    raise\n",
        "",
        CREATES,
    ),
    Bug(
        "an unanswered create of a killed run is repeated without a look",
        "client/creates.py",
        "            if state.is_unsure and not self._is_known(state) and await self._look(number):\n"
        "                return\n",
        "",
        CREATES,
    ),
    Bug(
        "a look gives up before a batch may show",
        "client/creates.py",
        "            if waited >= self.settle_seconds:",
        "            if waited >= 0:",
        CREATES,
    ),
    Bug(
        "a batch that was there before the create is taken for its own",
        "client/creates.py",
        "                if batch.id == state.after or _moment(batch.created_at, earliest) < earliest:",
        "                if _moment(batch.created_at, earliest) < earliest:",
        CREATES,
    ),
    Bug(
        "the first suspect is taken without its custom_ids",
        "client/creates.py",
        "                self.journal.suspect(number, found)\n",
        "                self.journal.created(number, found[0])\n",
        CREATES,
    ),
    Bug(
        "a create is written down after it was sent",
        "client/journal.py",
        "        self._append(entry)\n        self._apply(entry)\n",
        "        self._apply(entry)\n        if entry.sending is None:\n            self._append(entry)\n",
        f"{CREATES} {JOB}",
    ),
    Bug(
        "results in another order are written as they came",
        "client/arrange.py",
        "            if known.custom_id != wanted[0]:\n                return None\n",
        "",
        JOB,
    ),
    Bug(
        "an id may stand twice when its batches are two",
        "client/seen.py",
        "                if hashed == first_hash:\n",
        "                if hashed == first_hash and number == first + 1:\n",
        INPUT,
    ),
    Bug(
        "a torn line of the journal stays",
        "client/journal.py",
        "file.seek(-len(torn), os.SEEK_END)",
        "file.seek(0, os.SEEK_END)",
        JOB,
    ),
    Bug(
        "two runs may hold one journal",
        "client/journal.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_UN",
        JOB,
    ),
    Bug(
        "a refusal after a lost create forgets it",
        "client/errors.py",
        "self.status < 500 and self.had_no_effect and self.repeats == 0",
        "self.status < 500 and self.had_no_effect",
        JOB,
    ),
    Bug(
        "the output is written in place",
        "client/output.py",
        'self._workplace.output().open("wb")',
        'self._path.open("wb")',
        JOB,
    ),
    Bug(
        "a job's end is not kept before the rename",
        "client/output.py",
        "            journal.finish(_sha256(self._workplace.output()), tally)\n",
        "",
        JOB,
    ),
    Bug(
        "an input that changed is sent all the same",
        "client/source.py",
        "if digest.hexdigest() != self._part.sha256:",
        "if not digest.hexdigest():",
        INPUT,
    ),
    Bug(
        "a body may be larger than the limit by its commas",
        "client/limits.py",
        "size = len(line.strip()) + (1 if self._requests else 0)",
        "size = len(line.strip())",
        INPUT,
    ),
    Bug(
        "a download that begins anew gives lines twice",
        "client/download.py",
        "if known.custom_id not in self._seen:",
        "if known.custom_id:",
        API,
    ),
    Bug(
        "a download asks for the rest of a line it has half of",
        "client/download.py",
        "self.position += len(line) + 1",
        "self.position += len(line)",
        API,
    ),
    Bug(
        "the server's own wait is not kept",
        "client/patience.py",
        "if told is None:\n",
        "if told is None or told < LONGEST_WAIT:\n",
        API,
    ),
    Bug(
        "a 409 is not tried again",
        "client/patience.py",
        "(408, 409, 429)",
        "(408, 429)",
        API,
    ),
    Bug(
        "a redirect takes the key elsewhere",
        "client/api.py",
        "allow_redirects=False",
        "allow_redirects=True",
        API,
    ),
    Bug(
        "a job that did not all succeed ends with 0",
        "cli/run.py",
        "return 0 if tally.all_succeeded else 1",
        "return 0",
        "tests/e2e/test_cli.py",
    ),
    Bug(
        "what a server says moves the cursor",
        "cli/screen.py",
        'letter.isprintable() or letter == "\\n"',
        "letter.isprintable() or letter.isascii()",
        "tests/e2e/test_cli.py",
    ),
    Bug(
        "a closed pipe looks like requests that failed",
        "cli/main.py",
        "if isinstance(leaving.__context__, BrokenPipeError):",
        "if leaving.code is None:",
        "tests/e2e/test_cli_process.py",
    ),
    Bug(
        "the file beats the environment",
        "config.py",
        "layers.insert(0, _from_file(file, tree))",
        "layers.append(_from_file(file, tree))",
        "tests/unit/test_config.py",
    ),
    Bug(
        "an error shows the password of a URL",
        "kinds.py",
        '_matching(r"postgres(ql)?://[^\\s/]\\S*"), "URL", show=_without_secrets)',
        '_matching(r"postgres(ql)?://[^\\s/]\\S*"), "URL")',
        "tests/unit/test_config.py",
    ),
    Bug(
        "an unknown variable is overlooked",
        "config.py",
        "        if variable not in known:\n            raise",
        "        if variable not in known:\n            continue\n            raise",
        "tests/unit/test_config.py",
    ),
    Bug(
        "each run makes up its idempotency keys anew",
        "client/journal.py",
        '        keys = tuple(f"batchyard-run-{uuid.uuid4().hex}" for _ in parts)\n'
        "        self._keep(_Entry(round=tuple(parts), keys=keys))\n",
        "        self._keep(_Entry(round=tuple(parts), keys=tuple(map(str, range(len(parts))))))\n"
        "        for state in self.parts:\n            state.key = uuid.uuid4().hex\n",
        f"{CREATES} {JOB}",
    ),
    Bug(
        "a missing result goes unnoticed",
        "client/arrange.py",
        "            if line is None or wanted is None:\n                return None\n",
        "            if line is None or wanted is None:\n                return tally\n",
        JOB,
    ),
    Bug(
        "a key is relied on after its time",
        "client/creates.py",
        "        return age < self.key_seconds - KEY_MARGIN\n",
        "        return age < self.key_seconds * 1e9\n",
        JOB,
    ),
    Bug(
        "a round takes the results of the round before",
        "client/rounds.py",
        "            if later is not None and may_be_sent_again(known):\n                yield next(later)\n",
        "            if later is not None and may_be_sent_again(known):\n                yield request, line, known\n",
        ROUNDS,
    ),
    Bug(
        "what would fail again is sent again",
        "client/retries.py",
        "error.innermost.type in PASSING",
        'error.innermost.type != ""',
        ROUNDS,
    ),
    Bug(
        "batches that run cost nothing yet",
        "client/batching.py",
        "                spent += self._bound(place) if cost is None else cost\n",
        "                spent += cost or 0\n",
        COST,
    ),
    Bug(
        "a first request is sent a second time with the rest",
        "client/limits.py",
        "most = self._limits.requests if self._parts else self._limits.first or self._limits.requests",
        "most = self._limits.requests",
        COST,
    ),
    Bug(
        "a torn zstd is taken for its end",
        "client/compressed.py",
        "            if self._is_open:\n",
        "            if not chunk and self._ready:\n",
        FORMS,
    ),
    Bug(
        "what cannot be carried over is dropped in silence",
        "client/openai_lines.py",
        "        if name not in _CARRIED:\n",
        "        if name not in _CARRIED:\n            continue\n        if name == '':\n",
        FORMS,
    ),
    Bug(
        "rows are joined one off",
        "client/output.py",
        "        return self._intake.rows(), columns\n",
        "        rows = self._intake.rows()\n        return iter([next(rows), *self._intake.rows()]), columns\n",
        RUN,
    ),
    Bug(
        "an output that exists is overwritten",
        "client/output.py",
        "    if path.exists() and not force:",
        "    if path.exists() and force:",
        f"{RUN} {JOB}",
    ),
    Bug(
        "a program's job is forgotten with its first result",
        "client/library.py",
        "        for final in finals:\n            yield _result(final)\n        work.discard()\n",
        "        work.discard()\n        for final in finals:\n            yield _result(final)\n",
        LIBRARY,
    ),
    Bug(
        "a helper sends again what would fail again",
        "client/sdk.py",
        '            return _of(error, "type", None) in PASSING\n',
        "            return True\n",
        LIBRARY,
    ),
    Bug(
        "a helper forgets the bytes of a batch",
        "client/sdk.py",
        "        size += bytes_\n",
        "",
        LIBRARY,
    ),
]
