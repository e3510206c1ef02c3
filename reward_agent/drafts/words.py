"""Names of a model's parts as words: whichever style they are written in, and as identifiers.

``FL_foot``, ``toe_front_left``, ``robot0:hand mount``, ``LeftFoot`` and ``lfoot`` all hold whole
words; a role is never read from a part of one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

FOOT = frozenset(
    ["foot", "feet", "toe", "toes", "paw", "paws", "hoof", "heel", "sole", "wheel", "wheels"]
)
WHEEL = frozenset(["wheel", "wheels", "tire", "tyre"])
HAND = frozenset(["hand", "hands", "palm", "wrist", "gripper"])
FINGER = frozenset(["finger", "fingers", "fingertip", "claw", "jaw", "pad", "thumb"])
# The first of these that a site, or else a leaf, is named by is what reaches.
TOOL: tuple[str, ...] = (
    *("grasp", "pinch", "effector", "eef", "ee", "tcp", "tool", "grip", "fingertip", "tip"),
    *("attachment", "center", "mouth", "hand", "palm", "gripper", "finger"),
)
TARGET = frozenset(["target", "targets", "goal", "goals", "destination"])
HEAD = frozenset(["head", "nose", "eye", "eyes", "mouth", "snout", "pupil"])
FLOOR = frozenset(["floor", "ground", "plane", "terrain"])
HOME = ("home", "stand", "standing", "default", "initial", "init", "start", "neutral", "rest")
FIXTURE = ("door", "drawer", "handle", "button", "knob", "lever", "switch", "lid", "cabinet")

# What stands behind a glued letter: lfoot, rtoes, bthigh.
_PARTS = frozenset([
    "foot", "feet", "toe", "toes", "hand", "hands", "finger", "fingers", "thumb", "wrist", "arm",
    "forearm", "elbow", "shoulder", "humerus", "radius", "clavicle", "hip", "hipjoint", "leg",
    "thigh", "shin", "femur", "tibia", "knee", "ankle", "fin", "wheel", "eye",
])  # fmt: skip
_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}
_ENDS = {"front": "front", "fore": "front", "ahead": "front"}
_ENDS |= dict.fromkeys(("back", "hind", "rear", "aft"), "back")
_LETTERS = {"l": "left", "r": "right", "f": "front", "b": "back", "h": "back"}
_GLUED = re.compile(rf"([lrfbh])({'|'.join(sorted(_PARTS, key=len, reverse=True))})(r?[xyz])?")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_A-Za-z]+")


def split_words(name: str) -> list[str]:
    """Return the words of a name, in lower case; accents are left out."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    words: list[str] = []
    for word in (found.lower() for found in _WORD.findall(plain)):
        glued = _GLUED.fullmatch(word)
        if glued is None or word in _PARTS:
            words.append(word)
        else:
            letter, *others = glued.groups(default="")
            words += [_LETTERS[letter], *filter(None, others)]
    return words


def has_word(name: str, words: Iterable[str]) -> bool:
    """Return whether one of these stands in a name as a whole word."""
    return not set(words).isdisjoint(split_words(name))


def find_side(name: str) -> tuple[str, str]:
    """Return 'front', 'back' or '', and 'left', 'right' or '', as a name says."""
    end = side = ""
    for word in split_words(name):
        if len(word) == 2 and set(word) & set("lr"):  # FL, RR, LF, LH; RR is right behind
            letters = tuple(word)
            one, two = letters[::-1] if word[0] in "lr" and word[1] not in "lr" else letters
            ends = {"f": "front", "b": "back", "h": "back", "r": "back"}
            if one in ends and two in "lr":
                end, side = end or ends[one], side or _SIDES[two]
            continue
        end, side = end or _ENDS.get(word, ""), side or _SIDES.get(word, "")
    return end, side


def name_side(name: str) -> str:
    """Return the side that a name says: 'front_left', 'back', '' if none."""
    return "_".join(filter(None, find_side(name)))


def make_name(words: Iterable[str], fallback: str) -> str:
    """Return an identifier of ASCII words, short; the fallback where none can stand there."""
    kept = [word for word in words if word.isascii()]
    name = "_".join(kept)[:40].strip("_")
    return name if name[:1].isalpha() else f"{fallback}_{name}".strip("_")


class Names:
    """Identifiers handed out, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, name: str) -> str:
        """Return the name, with a number behind it where it is taken."""
        unique, n = name, 1
        while unique in self._taken:
            n += 1
            unique = f"{name}_{n}"
        self._taken.add(unique)
        return unique


def drop_common(names: list[list[str]]) -> list[list[str]]:
    """Return lists of words without the first ones that all share, such as the robot's name."""
    while len(names) > 2 and all(len(words) > 1 for words in names):
        if len({words[0] for words in names}) > 1:
            break
        names = [words[1:] for words in names]
    return names
