"""Bugs planted in the calls that somebody waits for, from the socket to the model server."""

from tests.planted.bug import Bug

SIMULATED = "tests/simulation/test_calls.py"
STREAMS = "tests/contract/test_upstream_stream.py"
WIRE = "tests/wire/test_messages.py"
THROUGH = "tests/wire/test_streams_through.py"

CALLS = [
    Bug(
        "batches lease the slots of calls that run",
        "dispatch/slots.py",
        """        left = server.ceiling - server.running - server.settled - server.calls
        return min(left, self.limiter.room(self.running + self.settled + self.calls, now)) if left > 0 else 0
""",
        """        left = server.ceiling - server.running - server.settled
        return min(left, self.limiter.room(self.running + self.settled, now)) if left > 0 else 0
""",
        SIMULATED,
    ),
    Bug(
        "a call waits for the commit before it gets an attempt's slot",
        "dispatch/slots.py",
        "left = server.ceiling - server.running - server.calls\n",
        "left = server.ceiling - server.running - server.settled - server.calls\n",
        SIMULATED,
    ),
    Bug(
        "a call is not told of the slots that a turn did not want",
        "dispatch/slots.py",
        '        """What was picked did not begin."""\n'
        "        self.running -= 1\n        self.server.running -= 1\n        self.server.admit()\n",
        '        """What was picked did not begin."""\n        self.running -= 1\n        self.server.running -= 1\n',
        SIMULATED,
    ),
    Bug(
        "a call takes a slot that a turn is leasing",
        "dispatch/slots.py",
        """        left = server.ceiling - server.running - server.calls
        return min(left, self.limiter.room_for_calls(self.running + self.calls, now)) if left > 0 else 0
""",
        """        left = server.ceiling - max(0, server.running - 1) - server.calls
        used = max(0, self.running - 1) + self.calls
        return min(left, self.limiter.room_for_calls(used, now)) if left > 0 else 0
""",
        SIMULATED,
    ),
    Bug(
        "a call keeps out what a failed turn did not lease",
        "dispatch/dispatcher.py",
        "                self._queue.unpick(picked)\n",
        "",
        SIMULATED,
    ),
    Bug(
        "a call that is cancelled with its slot keeps it",
        "dispatch/interactive.py",
        "            if waiter.done() and waiter.result() is None:\n                self._leave()\n",
        "",
        SIMULATED,
    ),
    Bug(
        "a call overtakes those that wait",
        "dispatch/interactive.py",
        "self._waiting.popleft().set_result(None)",
        "self._waiting.pop().set_result(None)",
        SIMULATED,
    ),
    Bug(
        "a call waits for a held lane",
        "dispatch/interactive.py",
        "        if resumes_at is None:\n",
        "        if resumes_at is None or resumes_at > now:\n",
        SIMULATED,
    ),
    Bug(
        "a lane learns nothing from calls",
        "dispatch/interactive.py",
        "hold = self._slots.limiter.observe(outcome, now, others=self._slots.flying - 1)",
        "hold = None",
        SIMULATED,
    ),
    Bug(
        "a call's stream leaves its slot when it begins",
        "dispatch/interactive.py",
        "            streaming = True\n",
        "",
        SIMULATED,
    ),
    Bug(
        "a call's stream that is closed keeps its slot",
        "dispatch/interactive.py",
        "            if not self._over:\n                self._over = True\n",
        "            if self._over:\n                self._over = True\n",
        SIMULATED,
    ),
    Bug(
        "a drain leaves a call that is in flight",
        "dispatch/dispatcher.py",
        " or self.calls.running or ",
        " or ",
        SIMULATED,
    ),
    Bug(
        "a stream without its last event passes for whole",
        "upstream/flow.py",
        "        if not self._watch.ended:\n",
        "        if False:\n",
        f"{STREAMS} {THROUGH}",
    ),
    Bug(
        "half an event of a broken stream is passed on",
        "upstream/flow.py",
        "        self._tail = held[end:]\n        return held[:end]",
        '        self._tail = b""\n        return held',
        f"{STREAMS} {THROUGH}",
    ),
    Bug(
        "a stream is read faster than its reader",
        "upstream/flow.py",
        "            self._transport.pause_reading()\n",
        "            pass\n",
        STREAMS,
    ),
    Bug(
        "a connection that was paused at the end of its stream stays so",
        "upstream/flow.py",
        "                self._transport.resume_reading()\n",
        "                pass\n",
        STREAMS,
    ),
    Bug(
        "closing a stream that has ended cuts the connection's next call",
        "upstream/flow.py",
        "        if not self._waiter.done():\n            self._waiter.cancel()\n            self._cut()\n",
        "        self._waiter.cancel()\n        self._cut()\n",
        STREAMS,
    ),
    Bug(
        "events with an error status are a stream",
        "upstream/connection.py",
        "if self._flow is not None and self._status == 200 and self._transport is not None:",
        "if self._flow is not None and self._transport is not None:",
        STREAMS,
    ),
    Bug(
        "a stream that broke ends like a whole one",
        "web/messages.py",
        "        raise CutAfter\n",
        '        await call.write(b"", more=False)\n',
        WIRE,
    ),
    Bug(
        "a stream that broke is cut without a word",
        "web/protocol.py",
        "        except CutAfter:\n",
        "        except ZeroDivisionError:\n",
        WIRE,
    ),
    Bug(
        "a call goes on though its client has gone",
        "web/messages.py",
        "        if not working.done():\n            raise ClientGone\n",
        "        await working\n",
        f"{WIRE} {THROUGH}",
    ),
    Bug(
        "a call's error tells what the upstream says of our key",
        "web/outcomes.py",
        'return RequestError("api_error", HELD)',
        "return outcome.error",
        WIRE,
    ),
    Bug(
        "a call's client is told to wait for hours",
        "web/outcomes.py",
        "min(seconds, LONGEST_RETRY_AFTER)",
        "seconds",
        WIRE,
    ),
    Bug(
        "a call's body has no limit while it is read",
        "web/bodies.py",
        "                if len(body) > self._max_bytes:\n                    raise _too_large(self._max_bytes)\n",
        "",
        WIRE,
    ),
    Bug(
        "the page before a model is not the one beside it",
        "web/models.py",
        "between[-limit:] if backwards",
        "between[:limit] if backwards",
        WIRE,
    ),
    Bug(
        "an upstream's model that says so cannot be batched",
        "domain/catalog.py",
        '        "batch": _YES,\n    }\n\n\n_NOTHING',
        "    }\n\n\n_NOTHING",
        WIRE,
    ),
]
