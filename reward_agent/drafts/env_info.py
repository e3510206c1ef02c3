"""Fields of what an environment tells beside its observation: numbers and flags of its info."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reward_agent.definitions.sources import quote_name
from reward_agent.definitions.tables import make_plain
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.survey import VARIES, InfoKey, Survey
from reward_agent.drafts.words import Names, make_name, split_words

# Of a field whose unit nobody tells.
NOT_KNOWN = "1"
MOST_DOC_CHARS = 300
_SUCCESS = re.compile(r"(^|/)(is_?)?success(ful)?$|(^|/)solved$", re.IGNORECASE)
_PAID = re.compile(r"reward|penalty|bonus|_cost$|^cost", re.IGNORECASE)


def read_info(
    survey: Survey, names: Names, promised: Sequence[str]
) -> tuple[list[DraftField], str, list[str]]:
    """Return the fields of the info, which of them is the verdict, and what is to be said."""
    fields, said, success = list[DraftField](), list[str](), ""
    watched = survey.watched
    unread = sorted(path.partition("/")[2] for path in watched.odd_info - watched.info.keys())
    odd = [own for own in unread if own]
    for path, key in sorted(watched.info.items()):
        own = path.partition("/")[2]
        if key.size == VARIES:
            odd.append(f"{own} (its size varies)")
        if not own or key.n_seen == 0 or key.size == VARIES:
            continue
        when = _tell_when(key, watched.n_steps)
        is_verdict = bool(_SUCCESS.search(own)) and key.size == 0
        name = names.take(make_name(split_words(own), "info"))
        if is_verdict and not success:
            success = name
        if when:
            said.append(f"{path} is there {when}; in other steps its field is 0")
        fields.append(_make_info(name, path, key, when, is_verdict))
    if odd:
        said.append(f"no field is made of what is no number in info: {', '.join(odd[:10])}")
    promised = [key for key in promised if f"info/{key}" not in watched.info]
    promised = [key for key in promised if f"info/{key}" not in watched.odd_info]
    if promised:
        said.append(
            f"the docstring promises info keys that never came in {watched.n_steps} steps: "
            f"{', '.join(promised)}"
        )
    return fields, success, said


def _make_info(name: str, path: str, key: InfoKey, when: str, is_verdict: bool) -> DraftField:
    own = path.partition("/")[2]
    is_flag = key.is_bool or (key.is_flag and is_verdict)
    doc = "1 while the environment counts the task as done" if is_verdict else f"{own} of the info"
    if when:
        doc += f", {when}"
    return DraftField(
        name,
        quote_name(path),
        "0/1" if is_flag and key.size == 0 else NOT_KNOWN,
        make_plain(doc if is_flag else f"{doc}; its unit is not known", MOST_DOC_CHARS),
        "verdict" if is_verdict or _PAID.search(own) else "info",
        key.size or None,
        bounds=(0.0, 1.0) if is_flag else (key.low, key.high) if key.low < key.high else None,
        is_needed=is_verdict,
    )


def _tell_when(key: InfoKey, n_steps: int) -> str:
    if key.n_seen >= n_steps:
        return ""
    if key.at_end:
        return "in the last step of an episode alone"
    return f"in {key.n_seen} of {n_steps} steps alone"
