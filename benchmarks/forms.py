"""``scripts/bench forms``: what a call of people's rewards costs, over arrays and row by row.

Each file of a folder with an ``index.jsonl`` (file, env) is translated in both forms that pay what
it pays; the steps/s are those of calls for a batch of simulations, without physics and learner.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reward_agent.definitions.card import load_env
from reward_agent.rewards.program import compile_program
from reward_agent.rewards.source import parse_source
from reward_agent.rewards.trial import roll_out_random_policy
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.reading import read_file
from reward_agent.translation.translate import Ground, Translator, find_ground
from reward_agent.translation.values import Untranslatable
from reward_agent.translation.writing import Text

_FOLDER = Path("tests/translation/people")
_BATCHES = (64, 256)
_LEAST_S, _MOST_CALLS = 0.15, 2_000
_N_STEPS = 4


def main(arguments: Sequence[str]) -> int:
    """Print a Markdown table: steps/s of each file in each form."""
    parser = argparse.ArgumentParser(prog="scripts/bench forms", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=_FOLDER)
    folder = parser.parse_args(arguments).folder
    heads = [f"{form}, {size}" for form in ("arrays", "rows") for size in _BATCHES]
    print(f"| file | environment | {' | '.join(heads)} | times, at {_BATCHES[-1]} |")
    print("|---" * (len(heads) + 3) + "|")
    for line in (folder / "index.jsonl").read_text("utf-8").splitlines():
        person = json.loads(line)
        data = (folder / f"{person['file']}.txt").read_bytes()
        print(
            render_row(person["file"], person["env"], list_forms(data, person["env"])), flush=True
        )
    return 0


def list_forms(data: bytes, env: str) -> dict[str, str]:
    """Return a file as a program in each form that can be written and pays the same."""
    text = read_file(data).text
    parsing = parse_source(text)
    if parsing.source is None:
        return {}
    forms: dict[str, str] = {}
    for kind in (Translator, _RowTranslator):
        try:
            taken = kind(_find_ground(env), parsing.source.tree, text).translate()
        except Untranslatable:
            continue
        if taken.form and taken.program:
            # A program of ours is over arrays already.
            forms["rows" if taken.form == "rows" else "arrays"] = taken.program
    return forms


class _RowTranslator(Translator):
    """Writes nothing over arrays."""

    def _write_arrays(self, number: int, inputs: Inputs) -> Text:
        raise Untranslatable("not over arrays", "")


@functools.cache
def _find_ground(env: str) -> Ground:
    return replace(find_ground(load_env(env), seed=0), runs_python=True)


def measure(program: str, env: str, n_sims: int) -> float:
    """Return the steps/s of calls of a program for a batch of simulations."""
    card = load_env(env)
    steps = _roll_out(env, n_sims)
    reward = compile_program(program, card, card.learner.gamma)
    reward.begin(steps[0].state)
    n_calls, started = 0, time.perf_counter()
    while n_calls < _MOST_CALLS and time.perf_counter() - started < _LEAST_S:
        step = steps[n_calls % len(steps)]
        reward.step(step.state, step.action, step.next_state, step.terminated)
        n_calls += 1
    return n_calls * n_sims / (time.perf_counter() - started)


_roll_out = functools.cache(
    lambda env, n_sims: roll_out_random_policy(load_env(env), 0, n_sims, _N_STEPS)
)


def render_row(file: str, env: str, forms: dict[str, str]) -> str:
    """Return a row of the table; what cannot be written in a form has no figure there."""
    rates = {
        (form, size): measure(forms[form], env, size)
        for form in ("arrays", "rows")
        for size in _BATCHES
        if form in forms
    }
    cells = [
        f"{rates[form, size]:,.0f}" if (form, size) in rates else "–"
        for form in ("arrays", "rows")
        for size in _BATCHES
    ]
    most = _BATCHES[-1]
    times = "–"
    if ("arrays", most) in rates and ("rows", most) in rates:
        times = f"{rates['arrays', most] / rates['rows', most]:.0f}"
    return f"| {file} | {env} | {' | '.join(cells)} | {times} |"
