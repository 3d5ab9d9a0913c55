"""What servers of chat completions differ in when they are asked. ``docs/design/upstream.md`` says where from."""

from dataclasses import dataclass

from batchyard.domain.servers import BOTH_NAMES, Server

_OPENAI = ("api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
"""Hosts of OpenAI's own models, by how their names end."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server, as far as a request must be written for it.

    ``is_openai``: OpenAI's own names for newer members (``max_completion_tokens``, ``reasoning_effort``), and nothing
    that its service would refuse. Else: what vLLM, SGLang and llama.cpp take (``top_k``, ``chat_template_kwargs``).
    ``takes_files``: whether a PDF may go out as a ``file`` part. ``takes_top_k``: whether ``top_k`` and ``min_p`` mean
    anything there. ``takes_tool_choice``: whether it heeds more than ``auto``. ``thinks_by_effort``: whether an effort
    says to think, or not to. ``thoughts``: under which names earlier thinking goes back; under none it is left out.
    """

    is_openai: bool = False
    takes_files: bool = True
    takes_top_k: bool = True
    takes_tool_choice: bool = True
    thinks_by_effort: bool = False
    thoughts: tuple[str, ...] = BOTH_NAMES


def dialect_of(server: Server, host: str) -> Dialect:
    """Return the dialect of a server at this host (in lower case)."""
    if host.endswith(_OPENAI):
        return Dialect(is_openai=True, takes_top_k=False, thoughts=())
    return Dialect(
        takes_files=server.takes_files,
        takes_top_k=server.takes_top_k,
        takes_tool_choice=server.takes_tool_choice,
        thinks_by_effort=server.thinks_by_effort,
        thoughts=server.thoughts,
    )
