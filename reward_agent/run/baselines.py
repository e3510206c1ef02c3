"""Baselines: what a result is held against, that no program of the search made.

The robot untrained, as a film of what was recorded of it; and Gymnasium's own reward, trained once
as a winner is confirmed, with the same env steps and the first of the fresh seeds.
"""

from __future__ import annotations

from contextlib import suppress

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import read_own_reward
from reward_agent.errors import DataError, JobError
from reward_agent.files import read_capped, remove
from reward_agent.records.job import BEHAVIOURS_DIR, FOOTAGE_FILE, TRAJECTORIES_FILE, VIDEO_FILE
from reward_agent.records.settings import RunSettings
from reward_agent.report.beside import read_untrained
from reward_agent.rewards.checks import check_program
from reward_agent.run.active import ActiveRun, copy_into
from reward_agent.run.confirm import train_again
from reward_agent.run.drawing import MAX_FILM_BYTES, draw, film
from reward_agent.run.estimate import trains_own_reward
from reward_agent.run.evaluate import evaluate_training
from reward_agent.run.seats import FRESH_SEED
from reward_agent.run.train import Entrant
from reward_agent.types import RewardProgram

OWN_REWARD = "Gymnasium's own reward"


def read_own_program(card: EnvCard, settings: RunSettings) -> RewardProgram | None:
    """Return Gymnasium's own reward where a run is to train it, else None."""
    if not trains_own_reward(settings, card):
        return None
    try:
        source = read_own_reward(card)
    except DataError:  # of a task of a person's folder, which is not this run's
        return None
    program = RewardProgram(source) if source is not None else None
    return program if program and check_program(program, card).is_accepted else None


def measure_baselines(run: ActiveRun) -> None:
    """Film the robot untrained, and train its environment's own reward; of each, once.

    What fails costs its line in the report.
    """
    if run.metric.source is None:
        return
    if run.settings.video:
        with suppress(DataError, JobError, FileNotFoundError):
            _film_untrained(run, run.metric.source)
    program = read_own_program(run.card, run.settings)
    if program is not None:
        with suppress(DataError, JobError):
            _train_own(run, program)


def _film_untrained(run: ActiveRun, metric_source: str) -> None:
    """Film the best that the robot does without a policy."""
    folder = run.store.untrained_dir
    untrained = read_untrained(run.store, metric_source)
    if untrained is None or (folder / VIDEO_FILE).is_file():
        return
    recorded = read_capped(run.store.dir / BEHAVIOURS_DIR / FOOTAGE_FILE, MAX_FILM_BYTES)
    copy_into(folder, {FOOTAGE_FILE: recorded})
    draw(run, folder, episodes=(untrained.behaviour,))
    remove(folder / "film")


def _train_own(run: ActiveRun, program: RewardProgram) -> None:
    """Train with a reward as a winner is trained again, score and film the policy."""
    folder = run.store.own_reward_dir
    seed = run.settings.seed + FRESH_SEED
    entrant = Entrant(OWN_REWARD, folder, folder / "training", program, seed)
    finish = train_again(run, entrant)
    if finish.result is None or not finish.result.snapshots:
        return
    evaluated = evaluate_training(
        run,
        folder / "evaluation",
        entrant.training_dir,
        finish.result,
        OWN_REWARD,
        finish.course,
        is_filmed=False,
    )
    remove(folder / "evaluation" / TRAJECTORIES_FILE)  # nobody is shown its episodes but as a film
    if run.settings.video and evaluated.video_file is None:
        film(run, folder / "evaluation", evaluated)
