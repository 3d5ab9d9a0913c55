"""Bugs planted in what is made of real model servers' answers."""

from tests.planted.bug import Bug

ANSWERS = "tests/unit/test_answer.py"
SERVER = "tests/unit/test_servers.py"
ASSEMBLY = "tests/unit/test_assemble.py"
GATHERED = "tests/contract/test_upstream_gather.py"
ALLOWANCE = "tests/unit/test_allowance.py"

SERVERS = [
    Bug(
        "servers: a batch may ask for fast mode",
        "domain/params_pass.py",
        "    if _is_fast(known.speed):\n",
        "    if not known.model:\n",
        "tests/unit/test_params_pass.py",
    ),
    Bug(
        "servers: whatever is called a speed is fast mode",
        "domain/params_pass.py",
        'msgspec.json.decode(speed) == "fast"',
        "speed is not None",
        "tests/unit/test_params_pass.py",
    ),
    Bug(
        "servers: a server that says no more is asked again",
        "domain/answer.py",
        "        return Held(error, retry_after(headers, now))\n    if status in _NOT_STARTED:",
        "        return NotStarted(error, retry_after(headers, now))\n    if status in _NOT_STARTED:",
        ANSWERS,
    ),
    Bug(
        "servers: an upstream's 413 passes for any refusal",
        "domain/answer.py",
        "is_too_large=status == 413)",
        "is_too_large=False)",
        ANSWERS,
    ),
    Bug(
        "servers: a caller is told 400 for a 413",
        "web/outcomes.py",
        "outcome.is_too_large:",
        "not outcome.error:",
        "tests/wire/test_messages.py",
    ),
    Bug(
        "servers: the most plentiful limit counts",
        "domain/allowance.py",
        "    return min(told, key=",
        "    return max(told, key=",
        ALLOWANCE,
    ),
    Bug(
        "servers: a limit that is not used up asks for a wait",
        "domain/allowance.py",
        "if left == 0 and reset is not None",
        "if reset is not None",
        ALLOWANCE,
    ),
    Bug(
        "servers: minutes pass for milliseconds",
        "domain/allowance.py",
        "(?:(\\d{1,6})m(?!s))?",
        "(?:(\\d{1,6})mm)?",
        ALLOWANCE,
    ),
    Bug(
        "servers: cached tokens are left out of the input",
        "domain/answer.py",
        "    given = usage.input_tokens + read + written",
        "    given = usage.input_tokens",
        ANSWERS,
    ),
    Bug(
        "servers: a foreign id passes",
        "domain/mend.py",
        "    if not id_.startswith(_OWN):\n",
        "    if not id_:\n",
        SERVER,
    ),
    Bug(
        "servers: a stop sequence that was met is forgotten",
        "domain/mend.py",
        """        line = splice(line, "stop_reason", b'"stop_sequence"')\n""",
        "        pass\n",
        SERVER,
    ),
    Bug(
        "servers: Anthropic's answers are mended too",
        "domain/servers.py",
        'Server("anthropic", forwards=True, mends=False)',
        'Server("anthropic", forwards=True)',
        SERVER,
    ),
    Bug(
        "servers: llama.cpp's 500 for a bad request is paid three times",
        "domain/answer.py",
        "    if status >= 500 and server.permanent is not None and server.permanent.search(message):\n",
        "    if status == 599 and server.permanent is not None and server.permanent.search(message):\n",
        SERVER,
    ),
    Bug(
        "servers: one server's words are believed of another",
        "domain/servers.py",
        '    if server.name == AUTO and headers.get("server", "").strip().lower() == "llama.cpp":\n',
        "    if server.name == AUTO:\n",
        SERVER,
    ),
    Bug(
        "servers: usage is made up for anyone",
        "domain/mend.py",
        "    if server.guesses_usage:\n",
        "    if server.mends:\n",
        SERVER,
    ),
    Bug(
        "servers: betas go to those that choke on them",
        "upstream/heads.py",
        "betas = call.betas if self._forwards.betas else ()",
        "betas = call.betas",
        "tests/contract/test_upstream_messages.py",
    ),
    Bug(
        "streams: a stream without its last event is whole",
        "domain/assemble.py",
        "        if not self._ended:\n",
        "        if self._ended is None:\n",
        ASSEMBLY,
    ),
    Bug(
        "streams: deltas of an unknown kind are dropped",
        "domain/blocks.py",
        "        if wanted is None or wanted != self.kind:\n",
        "        if wanted is None:\n            return 0\n        if wanted != self.kind:\n",
        ASSEMBLY,
    ),
    Bug(
        "streams: usage is what the beginning said",
        "domain/assemble.py",
        "            self._usage |= {",
        "            _ = {",
        ASSEMBLY,
    ),
    Bug(
        "streams: an error behind content is free",
        "domain/stream_error.py",
        "    if not begun or is_final:\n",
        "    if not begun or True:\n",
        f"{ASSEMBLY} {GATHERED}",
    ),
    Bug(
        "streams: pings pass for progress",
        "domain/assemble.py",
        '        if kind == b"ping" or not data',
        '        self.moved += kind == b"ping"\n        if kind == b"ping" or not data',
        f"{ASSEMBLY} {GATHERED}",
    ),
    Bug(
        "streams: bytes pass for progress",
        "upstream/flow.py",
        "        if self.by_progress and self.has_begun:\n",
        "        if self.by_progress and self.has_begun and not self.has_begun:\n",
        GATHERED,
    ),
    Bug(
        "streams: an answer without end is kept",
        "domain/assemble.py",
        "        if self._told > self._max_bytes or ",
        "        if ",
        f"{ASSEMBLY} {GATHERED}",
    ),
    Bug(
        "streams: more of the params changes than one member",
        "upstream/messages.py",
        "params = await asyncio.to_thread(splice, *setting) if large else splice(*setting)",
        'params = msgspec.json.encode(msgspec.json.decode(call.params) | {"stream": True})',
        GATHERED,
    ),
    Bug(
        "streams: a connection that is about to be closed is used again",
        "upstream/http1.py",
        "            if self._keeps_after_stream is None:\n                return\n        self._idle",
        "        self._idle",
        GATHERED,
    ),
]
