"""Which tools a simulated answer uses, and with what input."""

import re
from typing import Any

from batchyard.upstream.simulated_prompt import Prompt
from batchyard.upstream.simulated_schema import make_instance

Block = dict[str, Any]

MOST_PARALLEL = 4

_TYPED_INPUTS: dict[str, Block] = {
    "bash": {"command": "echo simulated"},
    "memory": {"command": "view", "path": "/memories"},
    "str_replace_editor": {"command": "view", "path": "/simulated.txt"},
    "str_replace_based_edit_tool": {"command": "view", "path": "/simulated.txt"},
}
"""Tools that the service defines and the caller runs. Those that the service runs, and toolsets, are never used."""
_TYPED_TYPES = frozenset(
    {"bash_20250124", "memory_20250818", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728"}
)
_SAYING_NOTHING = """
    get set list find search fetch create update delete run call make send look lookup tool use using the and for with
    from this that what when which where have will into about your you are can given return returns data info value
    values information user text string name query
"""
_EMPTY_WORDS = frozenset(_SAYING_NOTHING.split())
_WORDS = re.compile(r"[A-Za-z]{3,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_STEM = 6


def use_tools(prompt: Prompt) -> list[Block]:
    """Return the ``tool_use`` blocks that the answer ends with; none where it uses no tool."""
    return [
        {
            "type": "tool_use",
            "id": prompt.dice.simulated_id("toolu_", nth),
            "name": tool["name"],
            "input": _input(tool, place, prompt),
        }
        for nth, (place, tool) in enumerate(_chosen(prompt))
    ]


def is_forced(prompt: Prompt) -> bool:
    """Whether the caller left the answer no choice but a tool."""
    choice = prompt.params.members.get("tool_choice") or {}
    return choice.get("type") in ("any", "tool")


def _chosen(prompt: Prompt) -> list[tuple[int, Block]]:
    choice = prompt.params.members.get("tool_choice") or {"type": "auto"}
    if choice["type"] == "none":
        return []
    offered = prompt.params.members.get("tools")
    if not offered:
        return []
    usable = [(place, tool) for place, tool in enumerate(offered) if _usable(tool)]
    if choice["type"] == "tool":
        return [(place, tool) for place, tool in usable if tool["name"] == choice["name"]]
    forced = choice["type"] == "any" or prompt.wishes.stop_reason == "tool_use"
    answered = any(block.get("type") == "tool_result" for block in prompt.blocks)
    if answered and not forced:
        return []
    asked = {_stem(word) for word in _WORDS.findall(prompt.asked[:4000])}
    fitting = [(place, tool) for place, tool in usable if _fits(tool, asked)]
    if forced and not fitting:
        fitting = usable[:1]
    return fitting[: 1 if choice.get("disable_parallel_tool_use") else MOST_PARALLEL]


def _usable(tool: Block) -> bool:
    return "input_schema" in tool or tool.get("type", "") in _TYPED_TYPES


def _fits(tool: Block, asked: set[str]) -> bool:
    """Whether a word of the tool's name, or two of its description, are among those asked."""
    if asked & _stems(_CAMEL.sub(" ", tool["name"]).replace("_", " ").replace("-", " ")):
        return True
    return len(asked & _stems((tool.get("description") or "")[:1000])) > 1


def _stems(words: str) -> set[str]:
    return {_stem(word) for word in _WORDS.findall(words) if word.lower() not in _EMPTY_WORDS}


def _stem(word: str) -> str:
    return word.lower().removesuffix("s")[:_STEM]


def _input(tool: Block, place: int, prompt: Prompt) -> Any:
    if "input_schema" not in tool:
        return _TYPED_INPUTS[tool["name"]]
    return make_instance(tool["input_schema"], prompt.dice, f"tools.{place}.input_schema")
