"""Screens before training: what pays the same is not trained again, and both screens are told."""

from __future__ import annotations

import json
from pathlib import Path

from support.runs import WITH_EFFORT, read_prompt

import reward_agent
from reward_agent.records.events import Drafted, Event
from reward_agent.records.outcomes import ACCEPTED, TRAINED
from reward_agent.records.store import load_run
from reward_agent.report.page import write_report

FIRST = WITH_EFFORT
RENAMED = """```python
PRICE = 1e-3  # of effort


def compute_reward(state, action, next_state):
    straight = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    work = np.sum(np.square(action), axis=-1)
    parts = {"straight": straight, "cost": -PRICE * work}
    return sum(parts.values()), parts
```"""
REORDERED = """```python
def compute_reward(state, action, next_state):
    effort = np.sum(np.square(action), axis=-1)
    terms = {"effort": effort * -0.001}
    terms["upright"] = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return sum(terms.values()), terms
```"""
# Differs only where the probe never comes to.
GATED = FIRST.replace(
    "    return sum",
    '    terms["far"] = np.where(next_state.cart_position > 50.0, 1.0, 0.0)\n    return sum',
)
OTHER = FIRST.replace("0.2)", "0.4)")


def test_duplicates_are_named_not_trained_and_shown_to_the_designer(tmp_path: Path) -> None:
    script = tmp_path / "replies.md"
    replies = [FIRST, RENAMED, REORDERED, GATED, OTHER, OTHER, OTHER, OTHER]
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    told: list[Event] = []
    run = reward_agent.design(
        "inverted_pendulum", "balance", listen=told.append, provider=f"scripted:{script}", runs_dir=tmp_path / "runs",
        environ={}, candidates=4, iterations=2, winner_seeds=0, steps=2048, eval_episodes=2,
        video=False, critic=False, analyzer=False, racing="none", early_stop=False, max_repairs=0,
    )  # fmt: skip
    store = load_run(run.id, tmp_path / "runs")
    first, renamed, reordered, gated = store.read_iteration(0).candidates
    names = [first.id, renamed.id, reordered.id, gated.id]
    assert names == [f"{c.idea}-1" for c in (first, renamed, reordered, gated)]
    assert first.outcome == TRAINED
    drafted = {e.id: e.outcome for e in told if isinstance(e, Drafted) and e.iteration == 0}
    assert list(drafted) == [first.id, renamed.id, reordered.id, gated.id]
    assert (drafted[renamed.id], drafted[gated.id]) == (renamed.outcome, ACCEPTED)
    assert first.twin is None
    same = (
        f"rejected: the same program as candidate {first.id} of round 1: "
        "it pays the same in every state tried (random steps from the start, start pose held, "
        "limp, random actions, actuators at their ends; never: a success (best task score there "
        "1), falling at once)"
    )
    assert (str(renamed.outcome), str(reordered.outcome)) == (same, same)
    assert (renamed.twin, reordered.twin) == (first.id, first.id)
    assert gated.outcome == TRAINED
    assert gated.twin == first.id
    trained = {path.parts[-3] for path in store.dir.glob("iterations/0/*/*/training/*")}
    assert trained == {first.id, gated.id}
    later = store.read_iteration(1).candidates[0]
    assert later.rank_agreement is not None
    draft = store.candidate_dir(1, later.id) / "draft.json"
    assert json.loads(draft.read_text())["rank_agreement"] is not None
    prompt = read_prompt(store, 1, 0)
    assert str(renamed.outcome) in prompt
    assert f"pays the same as {first.id} in every state" in prompt
    page = write_report(store.dir).read_text()
    assert "Spearman" in page
    assert f"pays the same as <code>{first.id}</code>" in page
