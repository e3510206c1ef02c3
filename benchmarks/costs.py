"""What stands around a training: the reward in each step, a program's verdict, a whole run."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import (
    TASKS,
    Call,
    Group,
    Measurement,
    Options,
    Row,
    Sample,
    describe_median,
    load_setting,
    select_samples,
)
from benchmarks.ours import PROGRAMS
from reward_agent.definitions.card import EnvCard, find_env_dir, load_env
from reward_agent.errors import DataError
from reward_agent.executors import JobRequest
from reward_agent.executors.slots import LocalPlace, SlotExecutor
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.store import load_run
from reward_agent.records.timing import find_waste
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import CompiledReward, StepReward, load_functions
from reward_agent.rewards.source import find_read_fields
from reward_agent.sandbox.child import measure_folder, read_process
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import draw_actions
from reward_agent.simulation.state import FloatArray, State
from reward_agent.types import ProbeReport, RewardProgram

# --- the reward in a step -----------------------------------------------------------------------

_STEPS = 200
_REWARD_BAR = 3.0  # per cent of a step
# What the programs of a foreign corpus are written for.
_CORPUS_OBSERVATION_SIZE, _CORPUS_N_ACTIONS = 24, 6


def _plan_reward(options: Options) -> list[Call]:
    """Return measurements of all programs in each environment, in turns."""
    programs = load_programs(options.corpus) if options.corpus else {}
    arguments = {"programs": programs, "steps": options.steps or _STEPS}
    return [
        Call("costs.measure_rewards", {"env": env, "n_envs": n_envs, **arguments})
        for _ in range(1 if programs else options.repeats)
        for env in options.envs or ("hopper",)
        for n_envs in options.n_envs
    ]


def _compute_reward(options: Options, results: Sequence[Measurement]) -> list[Row]:
    rows = []
    for env, n_envs in itertools.product(options.envs or ("hopper",), options.n_envs):
        name = _name_share(Path(env).name, n_envs)
        costs = select_samples(results, name)
        dearest = max(costs, key=lambda item: item.value, default=None)
        note = f"{len(costs)} programs; dearest {dearest.name}: {dearest.note}" if dearest else ""
        bar = f"<= {_REWARD_BAR}"
        rows.append(describe_median(name, "%", bar, [item.value for item in costs], note))
    return rows


def _name_share(env: str, n_envs: int) -> str:
    return f"reward's share of a step, {n_envs} envs, {env}"


def load_programs(path: Path) -> dict[str, str]:
    """Return the programs of a JSON-lines file, by their ids.

    Raises:
        DataError: a line is no object with ``id`` and ``source``.
    """
    programs = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            item = json.loads(line)
            programs[str(item["id"])] = str(item["source"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}:{number} is no program: {error}", 'give {"id": …, "source": …} a line'
            ) from error
    return programs


def measure_rewards(env: str, programs: dict[str, str], n_envs: int, steps: int) -> list[Sample]:
    """Return the cost of each program; without programs, of one that people would write.

    Args:
        env: one whose task has a reference reward, or the folder of any.
        programs: by name; may be none.
        n_envs: simulations.
        steps: of all of them.
    """
    if env in TASKS:
        setting = load_setting(env)
        card, usual = setting.card, {"reference": setting.source}
    else:
        card = load_env(env)
        usual = {"usual": write_usual(card)}
    chosen = programs or usual
    return [
        _measure_reward(card, name, source, n_envs, steps, is_foreign=bool(programs))
        for name, source in chosen.items()
    ]


def write_usual(card: EnvCard) -> str:
    """Return a reward of three terms on what a card measures, as designers write them."""
    fields = [field for field in card.state if field.size is None] or list(card.state)
    first, second = fields[0], fields[min(1, len(fields) - 1)]
    low, high = first.range
    return f"""
def compute_reward(state, action, next_state):
    near = tolerance(next_state.{first.name}, bounds=({low / 2}, {high / 2}), margin={high - low})
    steady = np.abs(next_state.{second.name} - state.{second.name})
    terms = {{
        "near": near.reshape(len(action), -1)[:, 0],
        "steady": -0.1 * steady.reshape(len(action), -1)[:, 0],
        "effort": -0.001 * np.sum(np.square(action), axis=-1),
    }}
    return sum(terms.values()), terms
"""


def _measure_reward(
    card: EnvCard, name: str, source: str, n_envs: int, steps: int, is_foreign: bool
) -> Sample:
    fields = ["observation"] if is_foreign else find_read_fields(source, card)
    simulation = make_simulation(card, n_envs, seed=0, fields=fields)
    reward = CompiledReward(load_functions(source), card.learner.gamma)
    payer: Any = _Foreign(reward) if is_foreign else reward
    vec_env = RewardVecEnv(card, simulation, payer)
    vec_env.reset()
    generator = np.random.default_rng(0)
    actions = [draw_actions(card, generator, n_envs).astype(np.float32) for _ in range(steps)]
    for number, action in enumerate(actions, start=1):
        vec_env.advance(action)
        if number % card.learner.get("n_steps") == 0 or number == steps:
            vec_env.pay()
    # By the wall's clock: the CPU's asks the kernel, which takes a tenth of what is measured.
    # Others who use the machine take their time from all parts of a step alike.
    reward_us = 1e6 * vec_env.seconds["reward"] / steps
    step_us = 1e6 * sum(vec_env.seconds.values()) / steps
    return Sample(
        what=_name_share(find_env_dir(card).name, n_envs),
        name=name,
        value=100.0 * reward_us / step_us,
        note=f"{reward_us:.1f} of {step_us:.0f} us a step",
    )


class _Foreign:
    """Gives programs of a corpus the observation and the action that they are written for."""

    def __init__(self, reward: CompiledReward) -> None:
        self._reward = reward

    @property
    def has_memory(self) -> bool:
        return self._reward.has_memory

    def begin(self, state: State) -> None:
        self._reward.begin(_widen(state))

    def restart(self, ids: np.ndarray, state: State) -> None:
        self._reward.restart(ids, _widen(state))

    def step(
        self, state: State, action: FloatArray, next_state: State, terminated: np.ndarray
    ) -> StepReward:
        wide = _repeat(action, _CORPUS_N_ACTIONS)
        return self._reward.step(_widen(state), wide, _widen(next_state), terminated)


def _widen(state: State) -> State:
    return State({"observation": _repeat(state.observation, _CORPUS_OBSERVATION_SIZE)})


def _repeat(values: FloatArray, width: int) -> FloatArray:
    """Return the columns again and again, up to a width."""
    return values[:, np.arange(width) % values.shape[1]]


# --- from a program's text to its verdict -------------------------------------------------------

_VERDICT_BARS = {"cold": 0.4, "warm": 0.15}  # s
_VERDICT_LIMITS = Limits(wall_s=60.0, memory_mib=4096)


def _plan_verdict(options: Options) -> list[Call]:
    return [Call("costs.measure_verdicts", {"env": "hopper", "repeats": options.repeats})]


def _compute_verdict(options: Options, results: Sequence[Measurement]) -> list[Row]:
    rows = []
    for kind, bar in _VERDICT_BARS.items():
        times = [item.value for item in select_samples(results, f"verdict, {kind}")]
        rows.append(
            describe_median(f"program text to verdict, {kind} child", "s", f"<= {bar}", times)
        )
    return rows


def measure_verdicts(env: str, repeats: int) -> list[Sample]:
    """Return verdicts with cold and with warm children, alternating.

    Args:
        env: environment.
        repeats: of each program; the first of the warm ones, which waits for the server, is left
            out.
    """
    card = load_setting(env).card
    executors = {
        kind: SlotExecutor(LocalPlace(1, "default", is_warm=kind == "warm"))
        for kind in _VERDICT_BARS
    }
    try:
        _reach_verdict(card, executors["warm"], "speed")
        return [
            Sample(what=f"verdict, {kind}", name=name, value=_reach_verdict(card, executor, name))
            for _ in range(repeats)
            for name in PROGRAMS
            for kind, executor in executors.items()
        ]
    finally:
        for executor in executors.values():
            executor.close()


def _reach_verdict(card: EnvCard, executor: SlotExecutor, name: str) -> float:
    """Return the seconds from a text to its verdict, by the static rules and the probe."""
    program = RewardProgram(PROGRAMS[name])
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        started = time.perf_counter()
        report = check_program(program, card)
        (Path(folder) / PROGRAM_FILE).write_text(program.source, encoding="utf-8")
        job = ProbeJob(card=card, program_sha256=program.sha256)
        [job_exit] = executor.map([JobRequest(job, Path(folder), _VERDICT_LIMITS)])
        wall_s = time.perf_counter() - started
    if not report.is_accepted or not isinstance(job_exit.result, ProbeReport):
        raise DataError(f"{name} got no verdict: {job_exit.outcome}", "")
    return wall_s


# --- a whole run, beside its purpose ------------------------------------------------------------

_WASTE, _DISK, _PARENT = (
    "outside LLM, physics, policy, update, evaluation",
    "disk of a trained candidate, the largest",
    "peak memory of the parent during a run",
)
_RUN_BARS = {_WASTE: ("%", 3.0), _DISK: ("MiB", 3.0), _PARENT: ("MiB", 150)}
_POLL_S = 0.2


def _plan_run(options: Options) -> list[Call]:
    """Return the reading of a run, or a run of the offline designer."""
    if options.run_dir is not None:
        return [Call("costs.read_run", {"run_dir": str(options.run_dir.resolve())})]
    return [Call("costs.make_run", {"env": "hopper", "steps": options.steps})]


def _compute_run(options: Options, results: Sequence[Measurement]) -> list[Row]:
    rows = []
    for what, (unit, bar) in _RUN_BARS.items():
        samples = select_samples(results, what)
        values = [item.value for item in samples]
        note = samples[0].note if samples else ""
        rows.append(describe_median(what, unit, f"<= {bar}", values, note))
    return rows


def make_run(env: str, steps: int | None) -> list[Sample]:
    """Run the offline designer with the quick preset and return what the run took.

    Args:
        env: environment.
        steps: env steps of a training; None for the preset's.

    Raises:
        DataError: the run failed.
    """
    command = [
        *(sys.executable, "-m", "reward_agent", "design", "--env", env, "--task", TASKS[env]),
        *("--provider", "offline", "--preset", "quick"),
        *(("--steps", str(steps)) if steps else ()),
    ]
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as runs_dir:
        with (Path(runs_dir) / "output.txt").open("w+") as output:
            process = subprocess.Popen(
                [*command, "--runs-dir", runs_dir], stdout=output, stderr=subprocess.STDOUT
            )
            peak_mib = 0.0
            while process.poll() is None:
                peak_mib = max(peak_mib, read_process(process.pid).peak_memory_mib)
                time.sleep(_POLL_S)
            output.seek(0)
            # 3: the run ended below its target score, as a short one does.
            if process.returncode not in (0, 3):
                raise DataError(f"the run failed: {output.read()[-500:]}", "")
        run = load_run("last", Path(runs_dir))
        return [*read_run(str(run.dir)), Sample(what=_PARENT, name=env, value=peak_mib)]


def read_run(run_dir: str) -> list[Sample]:
    """Return what the record of a run says.

    Raises:
        DataError: it does not say where its time went.
    """
    store = load_run(run_dir)
    seconds, wall_s = store.read_run().slot_seconds, store.read_run().wall_s
    waste = find_waste(seconds)
    if waste is None:
        raise DataError(f"{run_dir} has no account of its time", "make a new run")
    shares = ", ".join(f"{k} {v / sum(seconds.values()):.1%}" for k, v in seconds.items())
    folders = {path.parent for path in store.dir.glob("iterations/*/candidates/*/training")}
    sizes = [measure_folder(folder) / 2**20 for folder in sorted(folders)]
    return [
        Sample(what=_WASTE, name=run_dir, value=100.0 * waste, note=f"of {wall_s:.0f} s: {shares}"),
        Sample(what=_DISK, name=run_dir, value=max(sizes, default=0.0)),
    ]


REWARD = Group(_plan_reward, _compute_reward)
VERDICT = Group(_plan_verdict, _compute_verdict)
RUN = Group(_plan_run, _compute_run)
