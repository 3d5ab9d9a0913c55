"""The kinds of model servers, and what each does otherwise than Anthropic's service. Pure tables, sources in the docs.

A server is what its operator says it is, or what its answers show: everything here that is not certain from an answer
alone is done only where the kind was named. ``docs/design/upstream.md`` says where each fact comes from.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

AUTO = "auto"
ANTHROPIC_HOST = "api.anthropic.com"
BOTH_NAMES = ("reasoning_content", "reasoning")
"""What servers of chat completions call earlier thinking: most the first, newer vLLM the second."""


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server, as far as it must be known to call it and to judge what it says."""

    name: str
    forwards: bool = False
    """Whether the version and the betas of the call go on to it."""
    mends: bool = True
    """Whether its Messages may need mending: an id of another form, a stop reason that forgets the stop sequence."""
    guesses_usage: bool = False
    """Whether numbers that are missing in ``usage`` count as 0 instead of making the answer a broken one."""
    counts_cached_twice: bool = False
    """Whether ``input_tokens`` has in it what ``cache_read_input_tokens`` says again."""
    ends_oddly: bool = False
    """Whether ``stop_sequence`` as the reason, with no sequence named, means that the model was cut off."""
    permanent: re.Pattern[str] | None = None
    """What it says, with a status of 500 or more, of a request that can never succeed."""
    wrong_path: re.Pattern[str] | None = None
    """What it says, with 404 and an error object, of a URL that has no such API."""
    takes_files: bool = True
    """Whether its chat completions may take a PDF: some refuse it, some answer as if it were not there."""
    takes_top_k: bool = True
    """Whether its chat completions heed ``top_k`` and ``min_p``, which are no part of OpenAI's."""
    takes_tool_choice: bool = True
    """Whether its chat completions heed a choice of tool other than ``auto``."""
    drops_unread: bool = False
    """Whether its Messages API leaves out in silence what it does not read: ``domain.unheeded`` has what it reads."""
    thinks_by_effort: bool = False
    """Whether its chat completions are told by an effort whether to think, and not through the chat template."""
    thoughts: tuple[str, ...] = BOTH_NAMES
    """Under which names its chat completions read earlier thinking."""


_LLAMA_PERMANENT = re.compile(
    r"^\[json\.exception\.|is required$|^(image|audio|video) input is not supported|^Multimodal data |"
    r"^Failed to (parse (messages|tools)|load image|download image|tokenize)|^(Missing|Unsupported|Expected|Cannot) |"
    r"^Invalid (?!diff)|\bjinja\b|chat template|context shift is disabled|exceeds the available context size|"
    r"too (large|big) to process",
    re.IGNORECASE,
)
"""Not among them: what it says of its own work (``Compute error``), or of what the model wrote (``Invalid diff``)."""
_LLAMA_CPP = Server(
    "llama.cpp",
    permanent=_LLAMA_PERMANENT,
    wrong_path=re.compile(r"^File Not Found$"),
    takes_files=False,
    thoughts=BOTH_NAMES[:1],
)

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Server(AUTO, forwards=True),
        Server("anthropic", forwards=True, mends=False),
        Server("vllm", takes_files=False),
        Server("sglang", counts_cached_twice=True, takes_files=False, thoughts=BOTH_NAMES[:1]),
        _LLAMA_CPP,
        Server(
            "ollama",
            ends_oddly=True,
            takes_files=False,
            takes_top_k=False,
            takes_tool_choice=False,
            drops_unread=True,
            thinks_by_effort=True,
        ),
        Server("lm-studio"),
        Server("plain", guesses_usage=True),
    )
}
"""Every kind that can be named, by its name."""
ANTHROPIC = SERVERS["anthropic"]


def server_named(name: str, host: str) -> Server:
    """Return the kind that the operator named, or for ``auto`` the one that the host's name gives away."""
    if name == AUTO and host.lower() == ANTHROPIC_HOST:
        return ANTHROPIC
    return SERVERS[name]


def server_shown(server: Server, headers: Mapping[str, str]) -> Server:
    """Return the kind that an answer's headers (names in lower case) show, where none was named."""
    if server.name == AUTO and headers.get("server", "").strip().lower() == "llama.cpp":
        return _LLAMA_CPP
    return server


def own_id(foreign: bytes) -> str:
    """Return a Message's id of this API's form that follows from the server's own, or from its answer."""
    return "msg_" + hashlib.sha256(foreign).hexdigest()[:24]
