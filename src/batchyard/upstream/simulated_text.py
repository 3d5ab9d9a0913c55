"""The words of a simulated answer: a label where labels are named, else that it is simulated and what it was asked."""

import re
from collections.abc import Sequence

from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_json import write_json
from batchyard.upstream.simulated_prompt import Prompt, plain_text
from batchyard.upstream.simulated_tokens import BYTES_A_TOKEN, cut_text

OPENING = "This is a simulated answer; no model was run."
SENTENCES = (
    "The same request gives the same words every time.",
    "Nothing here was reasoned about, looked up or remembered.",
    "A real model would now say something useful.",
    "Use it to test the path from request to result.",
    "Length, stop reason and token counts follow documented rules.",
    "Point the server at an upstream with a model for real answers.",
    "These words stand in for an answer of ordinary length.",
    "The order of these sentences depends on the request alone.",
)
GIST_WORDS = 12
GIST_CHARACTERS = 100
MOST_TOLD = 10

_READ = 4000
"""Characters at either end of a long prompt that are searched for labels: what asks for one stands there."""
_CUE_WORDS = ("classif", "categor", "label", "sentiment", "tag", "one of", "answer", "reply", "respond")
"""Without one of them the slower search for a cue is in vain."""
_CUE = re.compile(
    r"classif|categor|label|sentiment|\btag\b|one of|(?:answer|reply|respond)\b[^.\n]{0,40}\b(?:yes|true)\b",
    re.IGNORECASE,
)
_WORD = r"[^\W\d][\w-]{0,40}"
_AND = r"[\"'`]?,?\s+(?:or|and)\s+[\"'`]?"
_COMMA = r"[\"'`]?,\s*[\"'`]?"
_LEAD = r"(?:\bas|\binto|\bone of|\beither|labels?|categor(?:y|ies)|classes|options|(?:answer|reply|respond) with)\b"
_LABEL = rf"{_WORD}(?: {_WORD}){{0,3}}"
_LAST = rf"(?:{_LABEL}(?=\s*(?:[.:;!?)\"'`\n]|$))|{_WORD})"
_SLASHED = re.compile(rf"(?<![\w/.:]){_WORD}(?: ?/ ?{_WORD}){{1,20}}(?![\w/])")
_LISTED = re.compile(
    rf"{_LEAD}[^\w\n]{{0,6}}(?:the\b[^\w\n]{{1,3}})?({_LABEL}(?:{_COMMA}{_LABEL}){{0,20}}{_AND}{_LAST})", re.IGNORECASE
)
_AFTER_COLON = re.compile(
    rf"{_LEAD}[^\n:]{{0,40}}:\s*[\[\"'`]{{0,2}}({_WORD}(?:{_COMMA}{_WORD}){{1,20}})", re.IGNORECASE
)
_BULLETS = re.compile(
    rf"{_LEAD}[^\n:]{{0,40}}:[ \t]*\n((?:[ \t]*[-*•] ?[^\n]{{1,200}}(?:\n|$)){{2,20}})", re.IGNORECASE
)
_BULLET = re.compile(rf"[-*•] ?[\"'`*]{{0,2}}({_WORD}(?: {_WORD}){{0,4}})")
_BETWEEN = re.compile(rf"\s*/\s*|{_AND}|{_COMMA}", re.IGNORECASE)
_GOOD = re.compile(r"\b(?:great|good|love[ds]?|excellent|amazing|perfect|best|happy|recommend|fantastic|wonderful)\b")
_BAD = re.compile(
    r"\b(?:terrible|bad|hate[ds]?|awful|worst|broken?|broke|poor|refund|disappoint\w*|useless|do not buy|don't buy)\b"
)


def write_text(prompt: Prompt, told: Sequence[str] = ()) -> str:
    """Return the whole answer, before any limit cuts it; ``told`` is what came with the request beside text."""
    written = prompt.wishes.text or _label(prompt) or write_json(prompt) or _plain(prompt, told)
    if prompt.wishes.tokens is not None:
        written = stretch(written, prompt.wishes.tokens, prompt.dice)
    return after_prefill(written, prompt.prefill)


def after_prefill(written: str, prefill: str) -> str:
    """Return what is left to say where the caller began the answer."""
    begun = prefill.strip()
    return written.removeprefix(begun).lstrip() if begun else written


def gist(asked: str) -> str:
    """Return the beginning of what was asked, never the whole."""
    words = asked[: GIST_CHARACTERS * 4].split()
    if len(words) > 1:
        kept = " ".join(words[: min(GIST_WORDS, len(words) - 1)])[:GIST_CHARACTERS]
    else:
        kept = words[0][: min(GIST_CHARACTERS, len(words[0]) // 2)] if words else ""
    return f"“{kept.rstrip()}…”" if kept else ""


def stretch(written: str, tokens: int, dice: Dice) -> str:
    """Return the text made exactly so many tokens long, by more sentences or by a cut."""
    short = tokens * BYTES_A_TOKEN - len(written.encode())  # in bytes: each sentence alone would be rounded up
    parts = [written]
    while short > 0:
        parts.append(dice.pick(SENTENCES))
        short -= len(f" {parts[-1]}".encode())
    return cut_text(" ".join(parts), tokens)


def _plain(prompt: Prompt, told: Sequence[str]) -> str:
    about = gist(prompt.asked)
    asked = f" It was asked {about}" if about else " It was asked without words"
    sentences = [prompt.dice.pick(SENTENCES) for _ in range(1 + prompt.dice.roll(3))]
    came = f" With it came {_listed(told)}." if told else ""
    return " ".join([f"{OPENING}{asked} ({_words(prompt.asked)}).{came}{_answered(prompt)}", *dict.fromkeys(sentences)])


def _answered(prompt: Prompt) -> str:
    """Say what the tools gave back."""
    results = [block for block in prompt.blocks if block.get("type") == "tool_result"]
    if not results:
        return ""
    given = gist(plain_text(results[0].get("content") or ""))
    return f" The tool{'s' if len(results) > 1 else ''} answered {given or 'without words'}."


def _listed(told: Sequence[str]) -> str:
    shown = list(told[:MOST_TOLD])
    if len(told) > MOST_TOLD:
        shown.append(f"{len(told) - MOST_TOLD} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _words(asked: str) -> str:
    count = len(asked.split())
    return "1 word" if count == 1 else f"{count:,} words"


def _label(prompt: Prompt) -> str | None:
    """Return one of the labels that the prompt, or else the system prompt, names for a classification."""
    for text in (_ends(prompt.asked), _ends(prompt.system)):
        lowered = text.lower()
        if not any(word in lowered for word in _CUE_WORDS) or _CUE.search(text) is None:
            continue
        labels = _labels(text)
        if len(labels) > 1:
            return _choose(labels, prompt)
    return None


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _READ else f"{text[:_READ]}\n{text[-_READ:]}"


def _labels(text: str) -> list[str]:
    bullets = _BULLETS.search(text)
    if bullets is not None:
        return _BULLET.findall(bullets[1])
    listed = [named[1] for pattern in (_LISTED, _AFTER_COLON) if (named := pattern.search(text)) is not None]
    slashed = sorted(_SLASHED.findall(text), key=lambda choices: -choices.count("/"))
    for named in (*listed, *slashed):
        labels = [label for label in _BETWEEN.split(named) if label]
        if len(labels) > 2 or "/" in named or " or " in named.lower():  # "as light and strong" names no labels
            return labels
    return []


def _choose(labels: list[str], prompt: Prompt) -> str:
    """Return the label that the words of the prompt speak for where that is plain, else any."""
    told = prompt.asked.lower()
    for name, feeling in (("negative", _BAD), ("positive", _GOOD)):
        for label in labels:
            if label.lower() == name and feeling.search(told) is not None:
                return label
    neutral = [label for label in labels if label.lower() == "neutral"]
    return neutral[0] if neutral else prompt.dice.pick(labels)
