"""Makes a table of the figures that ``python -m bench`` printed.

python -m bench | python -m bench.report
python -m bench.report figures.jsonl --into docs/benchmarks.md
"""

import argparse
import json
import sys
from pathlib import Path

from bench.figures import Figure

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
HEADS = ("rule", "what", "Batchyard", "beside it", "ratio", "asked for", "met")


def number(value: float | None, unit: str) -> str:
    """Three digits that mean something, never in powers of ten."""
    if value is None:
        return "–"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f} {unit}".rstrip()


def fraction(value: float) -> str:
    return f"1/{1 / value:.3g}" if value < 1 else f"{value:.3g}"


def asked(figure: Figure) -> str:
    word = "at most" if figure.at_most else "at least"
    if figure.alone:
        return f"{word} {number(figure.bound, figure.unit)}"
    return f"{word} {fraction(figure.bound)}"


def row(figure: Figure) -> list[str]:
    beside = f"{number(figure.theirs, figure.unit)} ({figure.against})" if figure.against else ""
    ratio = "" if figure.ours is None or not figure.theirs else fraction(figure.ours / figure.theirs)
    met = {True: "yes", False: "**no**", None: "–"}[figure.is_met]
    return [
        figure.rule,
        figure.what + (f"; {figure.note}" if figure.note else ""),
        number(figure.ours, figure.unit),
        beside,
        ratio,
        asked(figure),
        met,
    ]


def table(lines: list[str]) -> str:
    """Return what was measured where, and the figures, as Markdown."""
    place: dict[str, str] = {}
    figures = []
    for line in lines:
        if "rule" in json.loads(line):
            figures.append(Figure.read(line))
        else:
            place |= json.loads(line)
    rows = [list(HEADS), ["---"] * len(HEADS), *(row(figure) for figure in figures)]
    said = [f"- {name}: {value}" for name, value in place.items()]
    return "\n".join([*said, "", *("| " + " | ".join(cells) + " |" for cells in rows)])


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    options.add_argument("figures", nargs="*", type=Path, help="files of JSON lines; none: standard input")
    options.add_argument("--into", type=Path, help="a Markdown file whose table is to be replaced")
    chosen = options.parse_args()
    texts = [path.read_text() for path in chosen.figures] or [sys.stdin.read()]
    made = table([line for text in texts for line in text.splitlines()])
    if chosen.into is None:
        print(made)
        return
    before, _, rest = chosen.into.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    chosen.into.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")


if __name__ == "__main__":
    main()
