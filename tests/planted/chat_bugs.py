"""Bugs planted in the translation to chat completions and back."""

from tests.planted.bug import Bug

CHATS = "tests/unit/test_chat_answer.py tests/contract/test_upstream_chat.py"
ANSWER = "tests/unit/test_chat_answer.py"
STREAM = "tests/unit/test_chat_stream.py"
REQUEST = "tests/unit/test_chat_request.py"
ERRORS = "tests/unit/test_chat_errors.py"

CHAT = [
    Bug(
        "chat: an engine's abort passes for an end",
        "upstream/chat_answer.py",
        '        raise NotWhole("was ended by the server before it was whole")\n',
        '        return "end_turn", None\n',
        CHATS,
    ),
    Bug(
        "chat: broken arguments of a tool pass",
        "upstream/chat_answer.py",
        '        raise NotWhole("has a tool call whose arguments are no JSON object") from None\n',
        '        return msgspec.Raw(b"{}")\n',
        CHATS,
    ),
    Bug(
        "chat: a stream without its last chunk is whole",
        "upstream/chat_completions.py",
        'return b"" if self._events.ended else self._events.broken_off()',
        'return b""',
        CHATS,
    ),
    Bug(
        "chat: members that are not known are dropped",
        "upstream/chat_fields.py",
        "        if name not in known:\n",
        "        if False:\n",
        "tests/unit/test_chat_request.py",
    ),
    Bug(
        "chat: a tool that failed passes for one that worked",
        "upstream/chat_content.py",
        "        said = _FAILED + said\n",
        "        pass\n",
        "tests/unit/test_chat_request.py",
    ),
    Bug(
        "chat: cached tokens are counted twice",
        "upstream/chat_answer.py",
        '"input_tokens": usage.prompt_tokens - cached,',
        '"input_tokens": usage.prompt_tokens,',
        CHATS,
    ),
    Bug(
        "chat: bytes that are no text go out",
        "upstream/chat_request.py",
        "        params.decode()\n",
        "        params[:1].decode()\n",
        REQUEST,
    ),
    Bug(
        "chat: an empty refusal refuses",
        "upstream/chat_answer.py",
        "    refused = bool(choice.message.refusal)\n",
        "    refused = choice.message.refusal is not None\n",
        ANSWER,
    ),
    Bug(
        "chat: calls without ids have the same in every answer",
        "upstream/chat_answer.py",
        "        id_ = tool_id(call.id, place, salt)\n",
        '        id_ = tool_id(call.id, place, "")\n',
        ANSWER,
    ),
    Bug(
        "chat: two calls of one id pass",
        "upstream/chat_answer.py",
        "    if len(set(calls)) != len(calls):\n",
        "    if not all(calls):\n",
        ANSWER,
    ),
    Bug(
        "chat: tokens without bounds pass",
        "upstream/chat_answer.py",
        "Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**53)]",
        "Tokens = Annotated[int, msgspec.Meta(ge=-(2**53))]",
        f"{ANSWER} {STREAM}",
    ),
    Bug(
        "chat: a body that lacks its last bytes is repaired",
        "upstream/chat_answer.py",
        "        completion = _completions.decode(body)\n",
        '        completion = _completions.decode(body if body.endswith(b"}") else body + b"}")\n',
        "tests/contract/test_upstream_faults.py",
    ),
    Bug(
        "chat: a streamed refusal ends like an answer",
        "upstream/chat_stream.py",
        "            self._refused = True\n",
        "            self._refused = False\n",
        STREAM,
    ),
    Bug(
        "chat: two streamed calls of one index are one",
        "upstream/chat_stream.py",
        "        return call.id != self._call_id if call.id else call.index is None\n",
        "        return False\n",
        STREAM,
    ),
    Bug(
        "chat: a name that comes again begins another call",
        "upstream/chat_stream.py",
        "        return call.id != self._call_id if call.id else call.index is None\n",
        "        return True\n",
        STREAM,
    ),
    Bug(
        "chat: streamed arguments are not looked at",
        "upstream/chat_stream.py",
        "            tool_input(self._arguments, cut=cut)\n",
        "            pass\n",
        STREAM,
    ),
    Bug(
        "chat: a hard limit fails requests",
        "upstream/chat_errors.py",
        "    if status >= 400 and {said.code, said.type} & _ACCOUNT:\n",
        "    if status == 429 and {said.code, said.type} & _ACCOUNT:\n",
        ERRORS,
    ),
    Bug(
        "chat: a prompt that is too long is tried again",
        "upstream/chat_errors.py",
        "    if status in {401, 402, 403, 429} or status < 400:\n",
        "    if status != 400:\n",
        ERRORS,
    ),
    Bug(
        "chat: a limit that speaks of length is a refusal",
        "upstream/chat_errors.py",
        "    if status in {401, 402, 403, 429} or status < 400:\n",
        "    if status < 400:\n",
        ERRORS,
    ),
    Bug(
        "chat: an unknown model holds the lane",
        "upstream/chat_errors.py",
        "    if status not in {403, 404}:\n        return False\n",
        "    if status != 403:\n        return False\n",
        ERRORS,
    ),
    Bug(
        "chat: a call that max_tokens cut is asked for again",
        "upstream/chat_answer.py",
        "        if cut:\n",
        "        if False:\n",
        f"{ANSWER} {STREAM}",
    ),
    Bug(
        "chat: any call of a cut answer may lack its end",
        "upstream/chat_answer.py",
        "cut=is_cut and place == len(calls) - 1)",
        "cut=is_cut)",
        ANSWER,
    ),
    Bug(
        "chat: a streamed call that max_tokens cut is no answer",
        "upstream/chat_stream.py",
        "        self._close(cut=is_cut(self._finish[0]))\n",
        "        self._close()\n",
        STREAM,
    ),
    Bug(
        "chat: parts of an unknown kind are dropped",
        "upstream/chat_answer.py",
        '            raise NotWhole("has content of a kind that is not understood")\n',
        "            continue\n",
        f"{ANSWER} {STREAM}",
    ),
    Bug(
        "chat: cached tokens under DeepSeek's name are not seen",
        "upstream/chat_answer.py",
        " or usage.prompt_cache_hit_tokens or 0",
        " or 0",
        ANSWER,
    ),
]
