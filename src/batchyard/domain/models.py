"""What is known of each model by name: its dated id, its cap on output, and what it refuses whatever the API version.

As documented by 2026-11-20; data, to be brought up to date with the documentation. A ``claude-…`` name that is not
here is taken as it comes: no cap, and nothing refused.
"""

from dataclasses import dataclass, replace

AS_OF = "2026-11-20"
LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT_TOKENS = 300_000
"""What the beta raises ``max_tokens`` to, in batches, on the models with the larger cap."""
SIMULATOR = "simulator"

_ANY_THINKING = frozenset({"enabled", "disabled", "adaptive", "between_tools"})


@dataclass(frozen=True, slots=True)
class Model:
    """``max_tokens`` is the cap on output, None where it is not known; the rest is what the model takes."""

    id: str
    max_tokens: int | None = None
    sampling: bool = True
    prefill: bool = True
    forced_tools: bool = True
    thinking: frozenset[str] = _ANY_THINKING

    def cap(self, *, long_output: bool) -> int | None:
        """Return the most output tokens; ``long_output`` says that the beta for more was named in a batch."""
        if long_output and self.max_tokens is not None and self.max_tokens >= 128_000:
            return LONG_OUTPUT_TOKENS
        return self.max_tokens


_UP_TO_4_5 = Model("", 64_000, thinking=_ANY_THINKING - {"adaptive"})
_FROM_4_6 = Model("", 128_000, prefill=False)
_FROM_4_7 = replace(_FROM_4_6, sampling=False, thinking=_ANY_THINKING - {"enabled"})
_FROM_5_5 = replace(_FROM_4_7, forced_tools=False)
_ALWAYS_THINKING = replace(_FROM_4_7, thinking=_ANY_THINKING - {"enabled", "disabled"})

_GENERATIONS: dict[str, tuple[Model, tuple[str, ...]]] = {
    "fable, mythos": (
        _ALWAYS_THINKING,
        (
            "claude-fable-5-2",
            "claude-fable-5-1",
            "claude-fable-5",
            "claude-mythos-5-2",
            "claude-mythos-5-1",
            "claude-mythos-5",
            "claude-mythos-preview",
        ),
    ),
    "5.5": (_FROM_5_5, ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")),
    "4.7 to 5": (_FROM_4_7, ("claude-opus-5", "claude-sonnet-5", "claude-opus-4-8", "claude-opus-4-7")),
    "4.6": (_FROM_4_6, ("claude-opus-4-6", "claude-sonnet-4-6")),
    "4.5": (
        _UP_TO_4_5,
        ("claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"),
    ),
    "4, 3.7": (_UP_TO_4_5, ("claude-sonnet-4-20250514", "claude-3-7-sonnet-20250219")),
    "opus 4": (replace(_UP_TO_4_5, max_tokens=32_000), ("claude-opus-4-1-20250805", "claude-opus-4-20250514")),
    "3.5": (replace(_UP_TO_4_5, max_tokens=8_192), ("claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022")),
    "3": (replace(_UP_TO_4_5, max_tokens=4_096), ("claude-3-opus-20240229", "claude-3-haiku-20240307")),
}

MODELS: dict[str, Model] = {
    name: replace(generation, id=name) for generation, names in _GENERATIONS.values() for name in names
}
ALIASES: dict[str, str] = {
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
    "claude-opus-4": "claude-opus-4-20250514",
    "claude-opus-4-0": "claude-opus-4-20250514",
    "claude-sonnet-4": "claude-sonnet-4-20250514",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-latest": "claude-3-7-sonnet-20250219",
    "claude-3-5-sonnet-latest": "claude-3-5-sonnet-20241022",
    "claude-3-5-haiku-latest": "claude-3-5-haiku-20241022",
    "claude-3-opus-latest": "claude-3-opus-20240229",
}


def find_model(name: str) -> Model | None:
    """Return what is known of the model, None where there is no such name."""
    known = MODELS.get(ALIASES.get(name, name))
    if known is not None:
        return known
    if name == SIMULATOR or (name.startswith("claude-") and len(name) > len("claude-")):
        return Model(name)
    return None
