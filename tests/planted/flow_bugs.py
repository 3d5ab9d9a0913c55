"""Bugs planted in how lanes learn what their server takes."""

from tests.planted.bug import Bug

UNIT = "tests/unit/test_limiter.py"
SIMULATED = "tests/simulation/test_flow.py"
TROUBLE = "tests/simulation/test_trouble.py"
BOARD = "tests/simulation/test_board.py"

FLOW = [
    Bug(
        "a refusal is never noise",
        "domain/limiter_refusals.py",
        "BEYOND_NOISE = 3.0\n",
        "BEYOND_NOISE = 0.5\n",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "a burst of refusals takes away what the server had taken",
        "domain/limiter_refusals.py",
        "max(others, limit - too_many)",
        "limit // 2",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "a wider cap is tried all the time",
        "domain/limiter_refusals.py",
        "self._quiet, self._step, self._wait, self._on_trial = 0, 1, self._patience, False",
        "self._quiet, self._step, self._wait, self._on_trial = 0, 1, SMALLEST_WINDOW, False",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "a lane that is full counts as down",
        "domain/limiter.py",
        "is_full=self._refusals.cap > 1)",
        "is_full=False)",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "a server that queues is not found out",
        "domain/limiter_queueing.py",
        "        return max(1, min(calls - 1,",
        "        return None and max(1, min(calls - 1,",
        f"{SIMULATED} -k queues",
    ),
    Bug(
        "a suspicion needs no trial",
        "domain/limiter_queueing.py",
        "    def _judge_fewer(self, trial: _Trial, limit: int, now: float, *, queued: bool) -> None:\n",
        "    def _judge_fewer(self, trial: _Trial, limit: int, now: float, *, queued: bool) -> None:\n"
        "        queued = True\n",
        f"{SIMULATED} -k slows",
    ),
    Bug(
        "answers are compared whatever their length",
        "domain/limiter_queueing.py",
        "length = tokens.bit_length()",
        "length = 0 * tokens",
        "tests/unit/test_limiter_queueing.py",
    ),
    Bug(
        "an outage is followed by everything at once",
        "domain/limiter.py",
        "                self._pace.limit(rate * AT_MOST, rate * AT_ONCE, now)\n",
        "                pass\n",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "an outage counts as overload",
        "domain/limiter.py",
        "        self._refusals.forget_the_burst()\n",
        "",
        f"{SIMULATED} -k outage",
    ),
    Bug(
        "what a server says is left goes unheard",
        "domain/limiter_pace.py",
        "            if left is not None and left < enough:\n",
        "            if left is not None and left < 0:\n",
        f"{UNIT} {SIMULATED}",
    ),
    Bug(
        "calls that hang keep their slots",
        "dispatch/running.py",
        "                found.append(attempt)\n",
        "                pass\n",
        TROUBLE,
    ),
    Bug(
        "a stalled call is cut though nobody wants its slot",
        "dispatch/troubled.py",
        " or not self._claims.is_wanted(lane):",
        ":",
        TROUBLE,
    ),
    Bug(
        "a call is stalled because everything is slow",
        "domain/patience.py",
        " and answers_since >= OVERTAKEN * limit",
        "",
        TROUBLE,
    ),
    Bug(
        "a long answer is cut the second time too",
        "dispatch/running.py",
        " or attempt.cut or attempt.lease.unknowns:",
        " or attempt.cut:",
        TROUBLE,
    ),
    Bug(
        "what stalled comes back ahead of the others",
        "dispatch/troubled.py",
        "            seconds += min(LONGEST_BACKLOG, rounds * patience)\n",
        "            pass\n",
        TROUBLE,
    ),
    Bug(
        "retries have no budget",
        "domain/retry_budget.py",
        "        if self._saved >= 1.0:\n",
        "        if self._saved >= -1e9:\n",
        "tests/unit/test_retry_budget.py",
    ),
    Bug(
        "nobody runs alone",
        "dispatch/troubled.py",
        "        if attempt.lease.deaths < ALONE_FROM:\n",
        "        if attempt.lease.deaths < 99:\n",
        TROUBLE,
    ),
    Bug(
        "others begin beside one that runs alone",
        "dispatch/dispatcher.py",
        "        if self._attempts.wants_quiet:\n            return False\n",
        "",
        TROUBLE,
    ),
    Bug(
        "those that run alone wait for each other",
        "dispatch/troubled.py",
        "        self._changed.set()  # this may be the last that another one waits for\n",
        "",
        TROUBLE,
    ),
    Bug(
        "a narrow lane gives up slots to learn whether it queues",
        "domain/limiter_queueing.py",
        "limit >= WIDE and ",
        "",
        "tests/simulation/test_shares.py",
    ),
    Bug(
        "a paused lane is used",
        "dispatch/slots.py",
        "        if self.paused or not self.server.is_open() or",
        "        if not self.server.is_open() or",
        BOARD,
    ),
    Bug(
        "what another owner paused goes on",
        "dispatch/dispatcher.py",
        "        await self.board.learn()\n",
        "",
        BOARD,
    ),
    Bug(
        "a lane that is made while it is paused is open",
        "dispatch/lanes.py",
        "            lanes[key].slots.paused = upstream in self._paused or name in self._paused\n",
        "",
        BOARD,
    ),
    Bug(
        "whoever may submit may pause a lane",
        "web/lanes.py",
        'Route("POST", f"{lanes}/{{upstream}}/{verb}", Scope.ADMIN,',
        'Route("POST", f"{lanes}/{{upstream}}/{verb}", Scope.SUBMIT,',
        "tests/wire/test_lanes.py",
    ),
]
