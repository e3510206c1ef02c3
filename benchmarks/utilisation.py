"""``scripts/bench utilisation``: how busy the slots of an executor are kept, from the ledger.

Trainings of unequal length run in the order in which they come.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import PROGRAMS
from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.executors import JobRequest
from reward_agent.executors.registry import make_places
from reward_agent.executors.remote import ClusterOptions
from reward_agent.executors.slots import SlotExecutor
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.timing import FREE_SLOT, OWN_OVERHEAD, TimeLedger, describe_shares
from reward_agent.records.training_jobs import TrainJob
from reward_agent.types import RewardProgram

PROMISED = 0.9
_IDLE = (FREE_SLOT, OWN_OVERHEAD)
# A training's length is drawn from a range of 1 to 12, evenly on the scale of logarithms.
_SHORTEST, _LONGEST = 4_000, 48_000
_LEARNER = LearnerSettings(
    n_envs=8, n_steps=64, batch_size=128, n_epochs=4, net_arch=[32, 32], learning_rate=1e-3
)


@dataclass(frozen=True)
class Utilisation:
    """What became of the slots' time.

    Args:
        n_slots: how many ran side by side.
        wall_s: from the first order to the last end.
        seconds: slot seconds by activity.
    """

    n_slots: int
    wall_s: float
    seconds: Mapping[str, float]

    @property
    def busy(self) -> float:
        """Share of slot time in which a slot had a job, 0..1."""
        return 1.0 - self._share(*_IDLE)

    @property
    def travel(self) -> float:
        """Share of slot time that a cluster took to place jobs and to bring files back, 0..1."""
        return self._share("cluster")

    def _share(self, *activities: str) -> float:
        spent = sum(self.seconds.get(name, 0.0) for name in activities)
        return spent / sum(self.seconds.values())


def main(arguments: Sequence[str]) -> int:
    """Measure an executor; 1 if its slots are less busy than promised."""
    parser = argparse.ArgumentParser(prog="scripts/bench utilisation", description=__doc__)
    parser.add_argument("--executor", default="local", help="local, ray, slurm, …")
    parser.add_argument("--ray-address", help="a cluster; else one is started here")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=48)
    parser.add_argument("--folder", type=Path, help="on a disk in common, for slurm")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reward-agent-", dir=given.folder) as temporary:
        folder = Path(temporary)
        options = ClusterOptions(
            slots=given.slots, address=given.ray_address, memory_mib=2048, folder=folder
        )
        found = measure_utilisation(given.executor, make_requests(given.jobs, folder), options)
    verdict = "reached" if found.busy >= PROMISED else "missed"
    print(
        f"{given.executor}: {given.jobs} trainings of unequal length in {found.n_slots} slots, "
        f"{found.wall_s:.0f} s\n"
        f"slots with a job: {found.busy:.1%} of their time (promised {PROMISED:.0%}: {verdict}); "
        f"of that, on the way to a node and back: {found.travel:.1%}\n"
        f"slot time: {describe_shares(found.seconds)}"
    )
    return 0 if found.busy >= PROMISED else 1


def measure_utilisation(
    executor: str, requests: Sequence[JobRequest], options: ClusterOptions
) -> Utilisation:
    """Run jobs in an executor.

    Raises:
        UsageError: the executor cannot be used.
        RuntimeError: a training did not end well, so the figure would mean nothing.
    """
    place, home = make_places(executor, options, "default", is_warm=True)
    ledger = TimeLedger(place.n_slots)
    slots = SlotExecutor(place, ledger, home)
    try:
        exits = slots.map(requests)
        found = Utilisation(slots.n_slots, ledger.elapsed_s, ledger.account())
    finally:
        slots.close()
    bad = [job_exit.outcome for job_exit in exits if str(job_exit.outcome) != "ok"]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(exits)} trainings did not end well: {bad[0]}")
    return found


def make_requests(n_jobs: int, folder: Path) -> list[JobRequest]:
    """Return trainings of the hopper of different lengths, the same each time."""
    chance = random.Random(0)
    card, source = load_env("hopper"), PROGRAMS["speed"]
    requests = []
    for number in range(n_jobs):
        steps = int(_SHORTEST * (_LONGEST / _SHORTEST) ** chance.random())
        job_dir = folder / f"job{number}"
        job_dir.mkdir()
        (job_dir / PROGRAM_FILE).write_text(source, encoding="utf-8")
        job = TrainJob(
            card=card,
            program_sha256=RewardProgram(source).sha256,
            seed=number,
            total_timesteps=steps,
            until_timesteps=steps,
            learner=_LEARNER,
        )
        requests.append(JobRequest(job, job_dir, Limits()))
    return requests
