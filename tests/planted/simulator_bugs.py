"""Bugs of the params' judgement and of the simulator."""

from tests.planted.bug import Bug

PARAMS = "tests/unit/test_params.py"
BLOCKS = "tests/unit/test_params_content.py"
CORE = "tests/contract/test_simulator.py"
CONTENT = "tests/contract/test_simulator_content.py"
ANY = "tests/contract/test_simulator_any.py"
SCHEMA = "tests/unit/test_simulated_schema.py"
PATTERN = "tests/unit/test_simulated_patterns.py"

SIMULATOR = [
    Bug(
        "the simulator rounds up sentence by sentence",
        "upstream/simulated_text.py",
        'short -= len(f" {parts[-1]}".encode())',
        "short -= -(-len(parts[-1].encode()) // BYTES_A_TOKEN) * BYTES_A_TOKEN",
        "tests/contract/test_simulator.py",
    ),
    Bug(
        "sampling keys pass under the newer version",
        "domain/params.py",
        "**(_SAMPLING if oldest else {}),",
        "**_SAMPLING,",
        PARAMS,
    ),
    Bug(
        "the long output beta counts in synchronous calls",
        "domain/params.py",
        "long_output=call.batched and LONG_OUTPUT_BETA in call.betas",
        "long_output=LONG_OUTPUT_BETA in call.betas",
        PARAMS,
    ),
    Bug(
        "unknown keys pass where all known ones are there",
        "domain/shapes.py",
        "if extra is None and not value.keys() <= members.keys():",
        "if extra is None and len(value) < len(required):",
        PARAMS,
    ),
    Bug(
        "a pattern is only looked for, not matched whole",
        "domain/shapes.py",
        "re.compile(pattern).fullmatch",
        "re.compile(pattern).search",
        BLOCKS,
    ),
    Bug(
        "documents of the assistant pass under the newer version",
        "domain/params_content.py",
        "_document(cited) if oldest else refused(",
        "_document(cited) if cited else refused(",
        BLOCKS,
    ),
    Bug(
        "marks within tool results are not counted",
        "domain/params_turns.py",
        'if block.get("type") == "tool_result" and type(content) is list:',
        'if block.get("type") == "none" and type(content) is list:',
        BLOCKS,
    ),
    Bug(
        "answers depend on the process",
        "upstream/simulated_dice.py",
        'self._state = int.from_bytes(self.digest[:8], "big")',
        'self._state = hash("") ^ int.from_bytes(self.digest[:8], "big") ^ id(self)',
        f"{CORE} {ANY}",
    ),
    Bug(
        "a stop sequence stays in the text",
        "upstream/simulated_limits.py",
        "words[: stopped[0]]",
        "words[: stopped[0] + len(stopped[1])]",
        CORE,
    ),
    Bug(
        "max tokens is passed by one",
        "upstream/simulated_tokens.py",
        "    return text.encode()[: tokens * BYTES_A_TOKEN]",
        "    return text.encode()[: (tokens + 1) * BYTES_A_TOKEN]",
        CORE,
    ),
    Bug(
        "a cancelled call keeps its place",
        "upstream/simulator.py",
        "            return await self._answer(call)\n        finally:\n            self._in_flight -= 1\n",
        "            outcome = await self._answer(call)\n            self._in_flight -= 1\n            return outcome\n"
        "        finally:\n            pass\n",
        ANY,
    ),
    Bug(
        "a cached prefix lives for ever",
        "upstream/simulated_cache.py",
        'self._prefixes.get(steps[at].digest, (now, ""))[0] > now:',
        "steps[at].digest in self._prefixes:",
        CONTENT,
    ),
    Bug(
        "the prompt cache mixes models",
        "upstream/simulated_cache.py",
        "hashlib.blake2b(model.encode(), digest_size=16)",
        "hashlib.blake2b(digest_size=16)",
        CONTENT,
    ),
    Bug(
        "a mark is part of the prefix it ends",
        "upstream/simulated_cache.py",
        'for key, value in block.items() if key != "cache_control"',
        "for key, value in block.items()",
        CONTENT,
    ),
    Bug(
        "an instance is given unchecked",
        "upstream/simulated_schema.py",
        "            if Checker(schema).accepts(schema, value):\n                return value\n",
        "            return value\n",
        SCHEMA,
    ),
    Bug(
        "two options of oneOf may hold",
        "upstream/simulated_schema_check.py",
        "for option in options) == 1",
        "for option in options) >= 1",
        SCHEMA,
    ),
    Bug(
        "a repetition matches once too often",
        "upstream/simulated_patterns.py",
        "node.most is None or times < node.most",
        "node.most is None or times <= node.most",
        PATTERN,
    ),
    Bug(
        "a named tool gives way to one that fits",
        "upstream/simulated_tools.py",
        'if choice["type"] == "tool":',
        'if choice["type"] == "named":',
        CONTENT,
    ),
    Bug(
        "no parallel use is asked for in vain",
        "upstream/simulated_tools.py",
        'fitting[: 1 if choice.get("disable_parallel_tool_use") else MOST_PARALLEL]',
        "fitting[:MOST_PARALLEL]",
        CONTENT,
    ),
    Bug(
        "width and height change places",
        "upstream/simulated_images.py",
        'return "image/jpeg", int.from_bytes(width, "big"), int.from_bytes(height, "big")',
        'return "image/jpeg", int.from_bytes(height, "big"), int.from_bytes(width, "big")',
        CONTENT,
    ),
    Bug(
        "a stream loses citations",
        "upstream/simulated_stream.py",
        "cited + words",
        "words",
        "tests/contract/test_simulator_stream.py",
    ),
    Bug(
        "a failure once comes for ever",
        "upstream/simulator.py",
        "if failed >= prompt.wishes.error_times:",
        "if failed > 1_000 * prompt.wishes.error_times:",
        "tests/docs/test_simulator.py",
    ),
]
