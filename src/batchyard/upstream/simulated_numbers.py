"""Numbers between the bounds of a JSON schema."""

import math
from fractions import Fraction
from typing import Any

from batchyard.upstream.simulated_dice import Dice

Schema = dict[str, Any]

_PLAIN_TRIES = 12
_CENT = Fraction(1, 100)


def integer(schema: Schema, dice: Dice) -> int | None:
    """Return an integer that the schema allows, None where there is none."""
    step = _exact(schema.get("multipleOf", 1))
    found = _multiple(schema, step * step.denominator, dice)
    return None if found is None else int(found)


def number(schema: Schema, dice: Dice) -> float | None:
    """Return a number that the schema allows, of few digits where it can be; None where there is none."""
    step = _exact(schema["multipleOf"]) if "multipleOf" in schema else _CENT
    found = [_multiple(schema, step, dice) for _ in range(_PLAIN_TRIES)]
    made = [float(value) for value in found if value is not None]
    if made:
        return next((value for value in made if _divides_plainly(schema, value)), made[0])
    if "multipleOf" in schema:
        return None
    low, high = _bounds(schema)
    return float(low if low == high else (low + high) / 2)


def _multiple(schema: Schema, step: Fraction, dice: Dice) -> Fraction | None:
    low, high = _bounds(schema)
    least, most = math.ceil(low / step), math.floor(high / step)
    least += "exclusiveMinimum" in schema and least * step <= _exact(schema["exclusiveMinimum"])
    most -= "exclusiveMaximum" in schema and most * step >= _exact(schema["exclusiveMaximum"])
    if most < least:
        return None
    return step * (least + dice.roll(min(most - least + 1, 1 << 32)))


def _bounds(schema: Schema) -> tuple[Fraction, Fraction]:
    lows = [_exact(schema[key]) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [_exact(schema[key]) for key in ("maximum", "exclusiveMaximum") if key in schema]
    spread = 100 * max(Fraction(1), _exact(schema.get("multipleOf", 1)))
    if lows:
        return max(lows), min(highs, default=max(lows) + spread)
    high = min(highs, default=spread)
    return (Fraction(0) if high > 0 else high - spread), high


def _exact(value: float) -> Fraction:
    return Fraction(str(value))


def _divides_plainly(schema: Schema, value: float) -> bool:
    """Whether a validator that divides floats, as most do, sees a multiple too."""
    return "multipleOf" not in schema or (value / schema["multipleOf"]).is_integer()
