"""Quantities in words: which numbers and units a sentence states, and which a criterion drops.

A person says "1.2 m/s", "twice", "for five seconds", "half a turn"; a criterion may say the same in
another unit (4.3 km/h), as a band around it (1.1 to 1.3 m/s), or as what follows (720 degrees).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS: dict[str, float] = {word: float(i) for i, word in enumerate(_WORDS.split())}
_NUMBERS |= {word: 10.0 * (i + 2) for i, word in enumerate(_TEN_WORDS.split())}
_NUMBERS |= {"hundred": 100.0, "half": 0.5, "quarter": 0.25, "dozen": 12.0}
_TIMES = {"twice": 2.0, "thrice": 3.0, "double": 2.0, "triple": 3.0}

# Of each unit: what it measures, and how much of that one is.
_UNITS: dict[str, tuple[str, float]] = {}
for _what, _size, _words in (
    ("time", 1.0, "s sec secs second seconds sekunde sekunden seconde secondes segundo segundos "
     "秒 秒钟 秒間 секунда секунды секунд"),
    ("time", 0.001, "ms millisecond milliseconds"),
    ("time", 3600.0, "hour hours"),
    ("time", 60.0, "min minute minutes minuten minutos 分钟 分 минут минуты минуту"),
    ("length", 1.0, "m meter meters metre metres meter metros mètres 米 метр метра метров"),
    ("length", 0.01, "cm centimeter centimeters centimetre centimetres 厘米 см"),
    ("length", 0.001, "mm millimeter millimeters millimetre millimetres"),
    ("length", 1000.0, "km kilometer kilometers kilometre kilometres"),
    ("length", 0.3048, "ft feet"),
    ("length", 0.0254, "inch inches"),
    ("length", 0.9144, "yd yard yards"),
    ("length", 1609.344, "mile miles"),
    ("speed", 1.0, "m/s"),
    ("speed", 0.01, "cm/s"),
    ("speed", 1 / 3.6, "km/h kph kmh"),
    ("speed", 0.44704, "mph"),
    ("speed", 0.3048, "ft/s fps"),
    ("angle", math.pi / 180, "° deg degs degree degrees grad градусов 度"),
    ("angle", 1.0, "rad radian radians"),
    ("angle", 2 * math.pi, "turn turns revolution revolutions rotation rotations rev revs"),
    ("turning", 1.0, "rad/s"),
    ("turning", math.pi / 180, "deg/s °/s"),
    ("turning", math.pi / 30, "rpm"),
    ("turning", 2 * math.pi, "rev/s"),
    ("share", 0.01, "% percent"),
    ("frequency", 1.0, "hz hertz"),
    ("force", 1.0, "n newton newtons"),
    ("mass", 1.0, "kg kilogram kilograms kilogramme"),
    ("count", 1.0, "times time x 次 раза раз veces fois mal mals"),
    ("steps", 1.0, "step steps"),
):  # fmt: skip
    _UNITS |= dict.fromkeys(_words.split(), (_what, _size))
_TURNS = r"(?:turns?|rotations?|rev(?:olution)?s?)"
_LONG_UNITS = {
    r"(?<![a-z])(?:meters?|metres?|m) ?(?:/|per|a) ?(?:seconds?|sec|s)\b": " m/s ",
    r"\bm\s?s(?:\^-1|⁻¹)": " m/s ",
    r"(?<![a-z])(?:degrees?|deg|°) ?(?:/|per|a) ?(?:seconds?|sec|s)\b": " deg/s ",
    r"(?<![a-z])(?:radians?|rad) ?(?:/|per|a) ?(?:seconds?|sec|s)\b": " rad/s ",
    r"(?<![a-z])(?:kilomet(?:er|re)s?|km) ?(?:/|per|an) ?(?:hours?|h)\b": " km/h ",
    r"(?<![a-z])(?:feet|foot|ft) ?(?:/|per|a) ?(?:seconds?|sec|s)\b": " ft/s ",
    r"(?<![a-z])miles? ?(?:/|per|an) ?(?:hours?|h)\b": " mph ",
    rf"(?<![a-z]){_TURNS} ?(?:/|per|a) ?(?:seconds?|sec|s)\b": " rev/s ",
    rf"(?<![a-z]){_TURNS} ?(?:/|per|a) ?min(?:ute)?s?\b": " rpm ",
    r"(?:米每秒|米/秒)": " m/s ",
}
# What a robot has a number of is no measure of what it does.
_PART_WORDS = """
leg legs foot feet arm arms hand hands wheel wheels finger fingers paw paws limb limbs toe toes
knee knees
"""
_PARTS = frozenset(_PART_WORDS.split())
# "720 degrees" is what "twice" asks of a flip.
_TURN = 2 * math.pi
_CLOSE = 0.02
_NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|\.\d+)(?:e[-+]?\d+)?"
_UNTIL = re.compile(r"\s*(?:and|to|or|-|–|\.\.)\s*(?=[-+.\d])")
# What makes two quantities the ends of a range: "between 1 and 2 m", "1 to 2 m", "1-2 m".
_BETWEEN, _TO = re.compile(r"\bbetween\s*$", re.IGNORECASE), re.compile(r"\s*(?:to|-|–|…|\.\.+)\s*")
_AND = re.compile(r"\s*and\s*", re.IGNORECASE)
# Before or behind a number of feet that are a part of the robot: "on two feet", "lift two feet".
_OF_ROBOT = re.compile(
    r"\b(?:on|with|all|both|its|your|his|her|the|using|lift\w*|rais\w+|lower\w*|keep\w*)\s*$",
    re.IGNORECASE,
)
_MOST_FEET = 6
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_TOKEN = re.compile(
    rf"(?P<number>(?<![A-Za-z0-9_.]){_NUMBER})[ -]?(?P<pi>\*?\s?(?:pi|π)\b)?"
    rf"\s?-?(?:(?P<unit>{_UNIT})(?![a-z]))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Amount:
    """A number with what it measures, in the unit of the fields.

    Args:
        text: as it was written.
        value: in s, m, m/s, rad, rad/s, or a bare number.
        what: what it measures; "" where no unit was said.
        low: the lower end, where it is the upper one of a range.
    """

    text: str
    value: float
    what: str
    low: float | None = None


def find_quantities(text: str) -> tuple[Amount, ...]:
    """Return the quantities that a text states, digits and spelled numbers, in order."""
    plain = _spell_digits(unicodedata.normalize("NFKC", text))
    found: list[Amount] = []
    of_range = False  # whether "1.1 to" was read, before "1.3 m/s"
    last = (0, 0)  # where the number before begins and ends
    for match in _TOKEN.finditer(plain):
        if _is_of_robot(plain, match):
            continue
        value = float(match["number"].replace(",", "."))
        what, size = _UNITS.get((match["unit"] or "").lower(), ("", 1.0))
        if match["pi"]:
            value *= math.pi
            what = what or "angle"
        if of_range and what:
            first = found.pop()
            found.append(Amount(f"{first.text} {match['unit']}", first.value * size, what))
        amount = Amount(" ".join(match.group().strip(" -").split()), value * size, what)
        if found and found[-1].what == what and _is_range(plain, last, match.start()):
            amount = replace(amount, low=found[-1].value)
        found.append(amount)
        last = (match.start(), match.end("unit") if match["unit"] else match.end("number"))
        of_range = not what and _UNTIL.match(plain[last[1] :]) is not None
    return tuple(found)


def _is_of_robot(text: str, match: re.Match[str]) -> bool:
    """Return whether a number counts parts of a robot: "on two feet", "three legs"."""
    unit, after = match["unit"], text[match.end() :].split(maxsplit=1)
    if unit is None:
        return bool(after) and after[0].strip(".,;:").lower() in _PARTS
    is_few = float(match["number"].replace(",", ".")) in range(_MOST_FEET + 1)
    return unit.lower() == "feet" and is_few and _OF_ROBOT.search(text[: match.start()]) is not None


def _is_range(text: str, before: tuple[int, int], start: int) -> bool:
    """Return whether the number before, and the one that starts here, are ends of a range."""
    joined = text[before[1] : start]
    is_between = _AND.fullmatch(joined) and _BETWEEN.search(text[: before[0]])
    return bool(is_between or _TO.fullmatch(joined))


def find_span(amounts: Sequence[Amount], kinds: Collection[str]) -> tuple[Amount, ...]:
    """Return the first quantity that measures one of these; both ends of it if it is a range."""
    same = [item for item in amounts if item.what in kinds]
    is_range = len(same) > 1 and same[1].low == same[0].value
    return tuple(same[: 2 if is_range else 1])


def find_durations(text: str) -> tuple[float, ...]:
    """Return the times in s that a text states."""
    return tuple(item.value for item in find_quantities(text) if item.what == "time")


def find_counts(text: str) -> tuple[float, ...]:
    """Return how often a text asks for something, where that is more than once."""
    amounts = find_quantities(text)
    return tuple(item.value for item in amounts if item.what == "count" and item.value > 1)


def list_dropped(sentence: str, criterion: str, control_dt: float) -> tuple[Amount, ...]:
    """Return the quantities of a sentence that its criterion does not hold, in any unit.

    Args:
        sentence: what was asked for.
        criterion: what a metric says that it asks.
        control_dt: s of a step, in which a criterion may count.
    """
    told = [*find_quantities(criterion)]
    told += [
        Amount(item.text, item.value * control_dt, "time") for item in told if item.what == "steps"
    ]
    return tuple(item for item in find_quantities(sentence) if not _is_told(item, told))


def _is_told(asked: Amount, told: Iterable[Amount]) -> bool:
    same = [item.value for item in told if asked.what in (item.what, "", "count", "steps")]
    if asked.what == "share":
        same += [item.value for item in told if item.what == ""]
    if any(_is_close(value, asked.value) for value in same):
        return True
    if asked.what in ("count", ""):  # two flips turn by 720 degrees
        turns = [abs(item.value) / _TURN for item in told if item.what == "angle"]
        if any(_is_close(value, asked.value) for value in turns):
            return True
    band = (
        [abs(value) for value in same if 0.5 < abs(value / asked.value) < 2] if asked.value else []
    )
    return bool(band) and min(band) < abs(asked.value) < max(band)


def _is_close(one: float, two: float) -> bool:
    return abs(abs(one) - abs(two)) <= _CLOSE * max(abs(two), 1e-6)


def _spell_digits(text: str) -> str:
    """Return a text with spelled numbers as digits, and long units as short ones."""
    words = re.split(r"(\W+)", text)
    for i, word in enumerate(words):
        low = word.lower()
        if low in _TIMES:
            words[i] = f"{_TIMES[low]:g} times"
        elif low in _NUMBERS and low not in ("one", "zero"):
            words[i] = f"{_NUMBERS[low]:g}"
        elif low == "one" and i + 2 < len(words) and words[i + 2].lower() in _UNITS:
            words[i] = "1"
    text = "".join(words)
    # "half a turn", "quarter of a minute"; "twenty-five".
    text = re.sub(r"(\b0\.(?:5|25)) (?:of )?an? ", r"\1 ", text, flags=re.IGNORECASE)
    text = re.sub(r"\b([2-9]0)[- ]([1-9])\b(?!\.)", lambda m: str(int(m[1]) + int(m[2])), text)
    for pattern, short in _LONG_UNITS.items():
        text = re.sub(pattern, short, text, flags=re.IGNORECASE)
    return text
