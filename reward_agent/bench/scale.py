"""What a sweep does with far more slots than this machine has: a simulation in discrete events.

Racing's own policies say who trains next, a lost job is run again as often as the executor does it,
and slots are given in the order of asking, as all our executors do. What is drawn by chance: how
long a training takes, how good a candidate is, how long a model thinks, which nodes are lost.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from reward_agent.executors.remote import N_ATTEMPTS
from reward_agent.run.racing import (
    RacingMode,
    RungScore,
    Standing,
    find_next_stop,
    make_policy,
)

_STEPS = 1_000_000


@dataclass(frozen=True)
class Setting:
    """A sweep and the cluster it runs on; times in seconds.

    Args:
        n_trainings: candidates' trainings, over all runs.
        n_slots: trainings side by side.
        runs_at_once: design runs that the driver works on side by side.
        candidates: of a round.
        rounds: of a run.
        racing: how trainings are stopped.
        training_s: median of a whole training; ``spread`` is its sigma on the scale of logarithms.
        stragglers: share of slices on a slow node, which take ``slowness`` times as long.
        start_s: from a free slot to the first step: the node's process, the imports.
        slots_per_node: how many jobs are lost with a node.
        node_life_s: mean time between losses of one node; it is away for ``repair_s``.
        llm_s: median of a reply's time; ``calls`` one after the other accept a candidate.
        calls_per_min: what the provider allows to all runs together.
        driver_s: what one job costs the driver, which does it for one job at a time.
    """

    n_trainings: int = 10_000
    n_slots: int = 1_000
    runs_at_once: int = 417
    candidates: int = 6
    rounds: int = 4
    racing: RacingMode = "halving"
    training_s: float = 600.0
    spread: float = 0.4
    stragglers: float = 0.02
    slowness: float = 4.0
    start_s: float = 5.0
    slots_per_node: int = 10
    node_life_s: float = 7 * 86_400.0
    repair_s: float = 900.0
    llm_s: float = 40.0
    calls: int = 2
    calls_per_min: float = 600.0
    driver_s: float = 0.02


@dataclass
class Outcome:
    """Slot seconds of a sweep by what they went to, and how it ended.

    Args:
        wall_s: from start to the last job.
        most_s: until nine runs of ten were over; the rest is the tail of the slowest.
        most_busy_s: slot seconds with a job by then.
        trained_s: slot seconds of training that was kept.
        started_s: of starting processes.
        lost_s: of slices that were lost with a node.
        n_jobs: slices that ended.
        n_lost: slices that were run again.
        n_given_up: slices that were lost as often as the executor allows; their run ends.
        queue_s: mean wait of a job for its slot.
    """

    wall_s: float = 0.0
    most_s: float = 0.0
    most_busy_s: float = 0.0
    trained_s: float = 0.0
    started_s: float = 0.0
    lost_s: float = 0.0
    n_jobs: int = 0
    n_lost: int = 0
    n_given_up: int = 0
    queue_s: float = 0.0


@dataclass
class _Slice:
    """A job: one stretch of a training."""

    seconds: float
    then: Callable[[bool], None]
    asked_s: float = 0.0
    attempt: int = 1
    begun_s: float = 0.0
    node: int = -1


class Simulation:
    """The events of a sweep, one after the other.

    Args:
        setting: what is simulated.
        seed: of all chance.
    """

    def __init__(self, setting: Setting, seed: int = 0) -> None:
        self.setting, self.outcome = setting, Outcome()
        self.chance = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        n_nodes = max(1, setting.n_slots // setting.slots_per_node)
        self._free = deque(list(range(n_nodes)) * setting.slots_per_node)
        self._running: dict[int, dict[int, _Slice]] = {node: {} for node in range(n_nodes)}
        self._queue: deque[_Slice] = deque()
        self._driver_free_s = self._llm_free_s = 0.0
        per_run = setting.candidates * setting.rounds
        self._n_to_begin = -(-setting.n_trainings // per_run)
        self._n_open = self._n_to_begin
        self._n_tail = self._n_open // 10
        self._n_busy, self._busy_s = 0, 0.0

    def run(self) -> Outcome:
        """Play the sweep to its end and return where the time went."""
        for node in self._running:
            self._await_loss(node)
        for _ in range(min(self.setting.runs_at_once, self._n_to_begin)):
            self._begin_run()
        while self._n_open:
            at, _, act = heapq.heappop(self._events)
            self._busy_s += self._n_busy * (at - self.now)
            self.now = at
            act()
        self.outcome.wall_s = self.now
        self.outcome.queue_s /= max(self.outcome.n_jobs, 1)
        return self.outcome

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), act))

    def ask_model(self, n_calls: int, then: Callable[[], None]) -> None:
        """Ask a model, one call after the other, each as soon as the provider's limit lets it."""
        if not n_calls:
            then()
            return
        self._llm_free_s = max(self._llm_free_s, self.now) + 60.0 / self.setting.calls_per_min
        takes = self.chance.lognormvariate(0.0, 0.5) * self.setting.llm_s
        wait = self._llm_free_s - self.now
        self.after(wait + takes, lambda: self.ask_model(n_calls - 1, then))

    def order(self, seconds: float, then: Callable[[bool], None]) -> None:
        """Order a slice; the driver handles one job at a time."""
        self._driver_free_s = max(self._driver_free_s, self.now) + self.setting.driver_s
        job = _Slice(seconds, then, asked_s=self.now)
        self.after(self._driver_free_s - self.now, lambda: self._enqueue(job))

    def end_run(self) -> None:
        """Count a run as over, and begin the next one."""
        self._n_open -= 1
        if self._n_open == self._n_tail:
            self.outcome.most_s, self.outcome.most_busy_s = self.now, self._busy_s
        self._begin_run()

    def _begin_run(self) -> None:
        if self._n_to_begin:
            self._n_to_begin -= 1
            _Run(self).begin_round()

    def _enqueue(self, job: _Slice) -> None:
        self._queue.append(job)
        self._fill()

    def _fill(self) -> None:
        """Give free slots to those who asked first."""
        while self._queue and self._free:
            job, node = self._queue.popleft(), self._free.popleft()
            job.begun_s, job.node = self.now, node
            self.outcome.queue_s += self.now - job.asked_s
            slow = self.setting.slowness if self.chance.random() < self.setting.stragglers else 1.0
            self._running[node][id(job)] = job
            self._n_busy += 1
            takes = self.setting.start_s + job.seconds * slow
            self.after(takes, partial(self._end, job, job.attempt))

    def _end(self, job: _Slice, attempt: int) -> None:
        if attempt != job.attempt or self._running[job.node].pop(id(job), None) is None:
            return  # it was lost meanwhile
        self._n_busy -= 1
        self.outcome.n_jobs += 1
        self.outcome.started_s += self.setting.start_s
        self.outcome.trained_s += self.now - job.begun_s - self.setting.start_s
        self._free.append(job.node)
        job.then(True)
        self._fill()

    def _await_loss(self, node: int) -> None:
        self.after(
            self.chance.expovariate(1.0 / self.setting.node_life_s), lambda: self._lose(node)
        )

    def _lose(self, node: int) -> None:
        """Lose a node with its jobs; it comes back."""
        lost, self._running[node] = list(self._running[node].values()), {}
        self._free = deque(other for other in self._free if other != node)
        self.after(self.setting.repair_s, lambda: self._repair(node))
        self._n_busy -= len(lost)
        for job in lost:
            self.outcome.lost_s += self.now - job.begun_s
            job.attempt += 1
            job.asked_s = self.now
            if job.attempt > N_ATTEMPTS:
                self.outcome.n_given_up += 1
                job.then(False)
            else:
                self.outcome.n_lost += 1
                self._enqueue(job)

    def _repair(self, node: int) -> None:
        self._free.extend([node] * self.setting.slots_per_node)
        self._await_loss(node)
        self._fill()


@dataclass
class _Run:
    """A design run: rounds, each of which ends when its race is over."""

    simulation: Simulation
    n_rounds: int = 0
    standings: dict[str, Standing] = field(default_factory=dict)
    n_awaited: int = 0
    is_over: bool = False

    def begin_round(self) -> None:
        """Have candidates written, side by side; each trains as soon as it is accepted."""
        setting, chance = self.simulation.setting, self.simulation.chance
        self.n_rounds += 1
        self.policy = make_policy(setting.racing, _STEPS, setting.candidates)
        self.standings, self.n_awaited = {}, setting.candidates
        self.level = {str(n): chance.gauss(0.0, 1.0) for n in range(setting.candidates)}
        # All candidates of a run have the same environment; runs differ.
        self.training_s = setting.training_s * chance.lognormvariate(0.0, setting.spread)
        for name in self.level:
            self.simulation.ask_model(setting.calls, partial(self._enter, name))

    def _enter(self, name: str) -> None:
        self.n_awaited -= 1
        self.standings[name] = Standing(name)
        self._go_on()

    def _go_on(self) -> None:
        """Order all slices that racing grants now, or end the round."""
        known = self.standings
        while (name := self.policy.choose(list(known.values()), self.n_awaited)) is not None:
            begin = known[name].steps
            stop = find_next_stop(self.policy, begin)
            known[name] = replace(known[name], is_running=True)
            seconds = self.training_s * (stop - begin) / _STEPS
            self.simulation.order(seconds, partial(self._take, name, stop))
        if not self.n_awaited and not any(item.is_running for item in known.values()):
            self._end_round()

    def _take(self, name: str, stop: int, is_ok: bool) -> None:
        if self.is_over:
            return
        if not is_ok:  # the executor gives up, and so the run stops
            self.is_over = True
            self.simulation.end_run()
            return
        mean = self.level[name] * stop / _STEPS
        score = RungScore(mean, mean - 0.05, mean + 0.05)
        scores = {**self.standings[name].scores, stop: score}
        self.standings[name] = replace(self.standings[name], scores=scores, is_running=False)
        self._go_on()

    def _end_round(self) -> None:
        setting = self.simulation.setting
        if self.n_rounds == setting.rounds:
            self.is_over = True
            self.simulation.end_run()
        else:
            self.simulation.ask_model(min(setting.calls, 1), self.begin_round)


# What is changed, a few things at a time. Many runs side by side are what fills slots: a run
# waits for the model and, at each rung, for its slowest training.
_ALONE: dict[str, float | str] = {
    "calls": 0,
    "candidates": 1,
    "rounds": 1,
    "runs_at_once": 10_000,
    "racing": "none",
}
CASES: dict[str, dict[str, float | str]] = {
    "417 design runs at once": {},
    "the same, a tenth as many slots": {"n_slots": 100, "n_trainings": 1_000, "runs_at_once": 41},
    "no racing": {"racing": "none"},
    "100 runs at once": {"runs_at_once": 100},
    "1,250 runs at once, 30,000 trainings": {"runs_at_once": 1_250, "n_trainings": 30_000},
    "a reply takes 120 s": {"llm_s": 120.0},
    "120 calls/min": {"calls_per_min": 120.0},
    "30 calls/min": {"calls_per_min": 30.0},
    "trainings alone, no model": _ALONE,
    "… no stragglers": _ALONE | {"stragglers": 0.0},
    "… a node lives a day": _ALONE | {"node_life_s": 86_400.0},
    "… a node lives an hour": _ALONE | {"node_life_s": 3_600.0},
    "… a node lives 15 minutes": _ALONE | {"node_life_s": 900.0},
    "… driver 0.2 s a job": _ALONE | {"driver_s": 0.2},
    "… driver 1 s a job": _ALONE | {"driver_s": 1.0},
    "… of a minute": _ALONE | {"training_s": 60.0},
    "… of a minute, driver 0.2 s a job": _ALONE | {"training_s": 60.0, "driver_s": 0.2},
}


def simulate_cases(setting: Setting | None = None) -> dict[str, tuple[Setting, Outcome]]:
    """Play every case once."""
    base = setting or Setting()
    settings = {name: replace(base, **changes) for name, changes in CASES.items()}  # type: ignore[arg-type]
    return {name: (each, Simulation(each).run()) for name, each in settings.items()}


def render_scale(results: dict[str, tuple[Setting, Outcome]]) -> str:
    """Return the table in Markdown; shares are of all slots' time."""
    lines = [
        "| what differs | jobs | slots busy until 9 of 10 runs are over | hours until then, in all "
        "| training | starts | lost | wait for a slot | given up |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (setting, found) in results.items():
        total = setting.n_slots * found.wall_s
        shares = [part / total for part in (found.trained_s, found.started_s, found.lost_s)]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        busy = found.most_busy_s / (setting.n_slots * found.most_s)
        lines.append(
            f"| {name} | {found.n_jobs:,} | **{busy:.0%}** | "
            f"{found.most_s / 3600:.2f}, {found.wall_s / 3600:.2f} | {cells} | "
            f"{found.queue_s:.0f} s | {found.n_given_up} |"
        )
    return "\n".join(lines)
