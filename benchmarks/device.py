"""``scripts/bench device``: what a round on one device does, beside the cores of the same machine.

In the order of what is to be known first, so that what a clock cuts off is known least of: whether
the physics there is MuJoCo's; env steps/s by robot and worlds, and where the time goes; a whole
round of programs and seeds, twice, for the spread; the same trainings in processes, as many side by
side as the machine has cores. Programs are traced in processes of their own, scores are of the
CPU's evaluator alone. A line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.learner import PPOSettings
from reward_agent.definitions.task import (
    METRIC_FILE,
    load_task,
    read_reference_reward,
    read_task_metric,
)
from reward_agent.errors import DataError
from reward_agent.records.device import DeviceReply, DeviceRequest, DeviceTraining
from reward_agent.records.job import PROGRAM_FILE, RESULT_FILE
from reward_agent.records.operations import TracedProgram
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.records.training_jobs import TrainJob
from reward_agent.rewards.choices import read_choices
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.types import RewardProgram, TrainingResult

_N_STATES = 200
_SPEED_ROBOTS = ("hopper", "half_cheetah", "ant")


def main(arguments: Sequence[str]) -> int:
    """Measure, and print as it goes."""
    parser = argparse.ArgumentParser(prog="scripts/bench device", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--env", default="hopper")
    parser.add_argument("--task", default="hop_forward")
    parser.add_argument("--programs", type=Path, help="folder; each reward.py in it is a program")
    parser.add_argument("--most-programs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--worlds", type=int, nargs="+", default=[32, 32, 16])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1024, 4096, 16384])
    parts = ["physics", "speed", "round", "halving", "cores"]
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    given = parser.parse_args(arguments)
    measures = {"physics": _measure_physics, "speed": _measure_speed, "round": _measure_rounds}
    measures |= {"halving": _measure_halving, "cores": _measure_cores}
    for part in given.parts:
        started = time.perf_counter()
        for row in measures[part](given):
            print(json.dumps({"part": part, **row}), flush=True)
        print(json.dumps({"part": part, "took_s": round(time.perf_counter() - started, 1)}))
    return 0


def _measure_physics(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Compare one control step from the same states."""
    import torch

    from reward_agent.device.worlds import Worlds

    for name in _SPEED_ROBOTS:
        card = load_env(name)
        started = time.perf_counter()
        worlds = Worlds(card, _N_STATES, seed=0, device=given.device)
        ready_s = time.perf_counter() - started
        simulation, generator = BatchSimulation(card, _N_STATES, seed=0), np.random.default_rng(0)
        simulation.reset()
        shape = (_N_STATES, card.n_actions)
        for _ in range(12):
            simulation.step(generator.uniform(*card.action_range, shape))
            simulation.reset(simulation.find_terminated())
        start = [torch.tensor(a, device=worlds.device) for a in (simulation.qpos, simulation.qvel)]
        worlds.put(*start)
        simulation.put(*(worlds.read(n).double().cpu().numpy() for n in ("qpos", "qvel")))
        action = generator.uniform(*card.action_range, shape).astype(np.float32)
        simulation.step(action)
        worlds.advance(torch.tensor(action, device=worlds.device))
        off = np.abs(worlds.read("qvel").cpu().numpy() - simulation.qvel).max(axis=1)
        yield {
            "robot": name,
            "ready_s": round(ready_s, 1),
            "largest": float(off.max()),
            "share_above_1e-3": float((off > 1e-3).mean()),
            "notes": worlds.notes,
        }


def _measure_speed(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time rollouts and updates of as many learners as have room in so many worlds."""
    import torch

    from reward_agent.device.program import ProgramRunner
    from reward_agent.device.round import Round, Shape
    from reward_agent.device.stack import Seat
    from reward_agent.worker.device import DEFAULT_WORLDS

    for name in _SPEED_ROBOTS:
        card = load_env(name)
        program = _trace(_find_sources(card, _name_task(name))[0], card)
        for size in given.sizes:
            n_worlds, n_learners = DEFAULT_WORLDS, max(size // DEFAULT_WORLDS, 1)
            shape = Shape(n_worlds, 1024 // n_worlds)
            seats = [Seat(PPOSettings(), seed, 10**9) for seed in range(n_learners)]
            payers = [program.program_sha256] * n_learners
            runner = ProgramRunner(program, n_worlds * n_learners, given.device)
            programs = {program.program_sha256: runner}
            course = Round(card, programs, payers, seats, shape, given.device, seed=0)
            running = [True] * n_learners
            course.learn(running)
            before, started = course.seconds, time.perf_counter()
            for _ in range(3):
                course.learn(running)
            wall_s = time.perf_counter() - started
            row = {"robot": name, "worlds": size, "learners": n_learners}
            row |= {"env_steps_per_s": round(3 * 1024 * n_learners / wall_s)}
            row |= {part: round(s - before[part], 3) for part, s in course.seconds.items()}
            if given.device.startswith("cuda"):
                row["peak_mib"] = torch.cuda.max_memory_allocated() // 2**20
                free, total = torch.cuda.mem_get_info()
                row["used_mib"] = (total - free) // 2**20
            yield row | {"wall_s": round(wall_s, 3), "repeated": course.n_repeated}


def _measure_rounds(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train a whole round for each number of worlds; the same again tells the spread."""
    for worlds in given.worlds:
        with tempfile.TemporaryDirectory() as folder:
            trainings = _make_trainings(given, Path(folder))
            wall_s = _train_on_device(given, trainings, worlds)
            yield {"worlds": worlds} | _tell(given, trainings, wall_s)


def _measure_halving(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Stop the worse half of the programs half way; new seeds of the others take their seats."""
    from reward_agent.device.seats import share_seats

    with tempfile.TemporaryDirectory() as folder:
        trainings = _make_trainings(given, Path(folder))
        half = [_reach(training, given.steps // 2) for training in trainings]
        wall_s = _train_on_device(given, half, given.worlds[0])
        scores = _score_all(given, half)
        by_program: dict[str, list[float]] = {}
        for training, score in zip(half, scores, strict=True):
            known = by_program.setdefault(training.job.program_sha256, [])
            known.append(-np.inf if score is None else score)
        ranked = sorted(by_program, key=lambda name: -float(np.median(by_program[name])))
        kept = ranked[: max(1, len(ranked) // 2)]
        survivors = [t for t in trainings if t.job.program_sha256 in kept]
        seeds = {
            name: [t.job.seed for t in survivors if t.job.program_sha256 == name] for name in kept
        }
        fresh = share_seats(seeds, len(trainings))
        patterns = {training.job.program_sha256: training for training in survivors}
        added = [
            _sit_anew(patterns[name], Path(folder), seed) for name in kept for seed in fresh[name]
        ]
        wall_s += _train_on_device(given, [*survivors, *added], given.worlds[0])
        yield {"kept": len(kept), "added": len(added)} | _tell(given, survivors + added, wall_s)


def _reach(training: DeviceTraining, until: int) -> DeviceTraining:
    return training.model_copy(update={"job": training.job.go_on(until)})


def _sit_anew(training: DeviceTraining, folder: Path, seed: int) -> DeviceTraining:
    """Return the same training with another seed, in a folder of its own."""
    own = folder / f"{training.job.program_sha256[:8]}_new_{seed}"
    own.mkdir()
    job = training.job.model_copy(update={"seed": seed})
    return training.model_copy(update={"job": job, "job_dir": str(own)})


def _train_on_device(
    given: argparse.Namespace, trainings: Sequence[DeviceTraining], worlds: int
) -> float:
    """Train them side by side and return how long it took."""
    from reward_agent.worker.device import DeviceSession, train

    said: list[DeviceReply] = []
    started = time.perf_counter()
    request = DeviceRequest(trainings=tuple(trainings), n_worlds=worlds)
    train(request, DeviceSession(given.device, said.append, lambda: False))
    for reply in said:
        if reply.kind == "refused":
            print(json.dumps({"refused": reply.message}))
    return time.perf_counter() - started


def _measure_cores(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train the same in processes, one a core."""
    with tempfile.TemporaryDirectory() as folder:
        trainings = _make_trainings(given, Path(folder))
        started = time.perf_counter()
        with _make_pool() as pool:
            list(pool.map(_train_on_core, [t.model_dump_json() for t in trainings]))
        wall_s = time.perf_counter() - started
        yield {"cores": os.cpu_count()} | _tell(given, trainings, wall_s)


def _train_on_core(text: str) -> None:
    from reward_agent.worker.train import run

    training = DeviceTraining.model_validate_json(text)
    folder = Path(training.job_dir)
    (folder / RESULT_FILE).write_text(run(training.job, folder).model_dump_json())


def _make_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def _make_trainings(given: argparse.Namespace, folder: Path) -> list[DeviceTraining]:
    """Return each program with each seed, in a folder of its own."""
    trainings = []
    card = load_env(given.env)
    sources = _find_sources(card, given.task, given.programs)[: given.most_programs]
    for number, source in enumerate(sources):
        learner = read_choices(source).apply(card).learner
        try:
            program = _trace(source, card)
        except DataError as error:
            print(json.dumps({"not_traced": str(error)}))
            continue
        for seed in range(given.seeds):
            own = folder / f"{number}_{seed}"
            own.mkdir()
            (own / PROGRAM_FILE).write_text(source)
            job = TrainJob(
                card=card,
                program_sha256=RewardProgram(source).sha256,
                seed=seed,
                total_timesteps=given.steps,
                until_timesteps=given.steps,
                learner=learner,
            )
            trainings.append(DeviceTraining(job=job, job_dir=str(own), program=program))
    return trainings


def _find_sources(card: EnvCard, task: str, folder: Path | None = None) -> list[str]:
    """Return the programs of a folder, without one by the task's reference."""
    if folder is None:
        return [read_reference_reward(card, load_task(card, task)) or ""]
    sources = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob(PROGRAM_FILE))]
    return list(dict.fromkeys(sources))


def _name_task(robot: str) -> str:
    return "hop_forward" if robot == "hopper" else "run_forward"


def _trace(source: str, card: EnvCard) -> TracedProgram:
    """Trace a program in another process: this one has the device."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        text = pool.submit(_trace_there, source, card.name).result()
    return TracedProgram.model_validate_json(text)


def _trace_there(source: str, env: str) -> str:
    from reward_agent.device.tracing import TraceRefusal
    from reward_agent.worker.trace import trace_program

    card = load_env(env)
    try:
        gamma = read_choices(source).apply(card).learner.gamma
        return trace_program(source, card, gamma).model_dump_json()
    except TraceRefusal as refusal:
        raise DataError(str(refusal)) from None


def _tell(
    given: argparse.Namespace, trainings: Sequence[DeviceTraining], wall_s: float
) -> dict[str, Any]:
    """Return how long a round took and what its last policies score."""
    finished = [t for t in trainings if (Path(t.job_dir) / RESULT_FILE).exists()]
    steps = sum(t.job.total_timesteps for t in finished)
    scores = _score_all(given, finished)
    return {
        "trainings": len(finished),
        "wall_s": round(wall_s, 1),
        "env_steps_per_s": round(steps / wall_s),
        "scores": scores,
        "median": float(np.median([s for s in scores if s is not None] or [np.nan])),
    }


def _score_all(
    given: argparse.Namespace, trainings: Sequence[DeviceTraining]
) -> list[float | None]:
    with _make_pool() as pool:
        return list(pool.map(_score, [(t.model_dump_json(), given.task) for t in trainings]))


def _score(work: tuple[str, str]) -> float | None:
    """Return the task score of a training's last policy."""
    from reward_agent.worker import evaluate

    text, task = work
    training = DeviceTraining.model_validate_json(text)
    folder, card = Path(training.job_dir), training.job.card
    result = TrainingResult.model_validate_json((folder / RESULT_FILE).read_text())
    if not result.snapshots:
        return None
    (folder / METRIC_FILE).write_text(read_task_metric(card, load_task(card, task)) or "")
    job = EvaluateJob(card=card, snapshots=result.snapshots[-1:], n_episodes=8, seed=1)
    score = evaluate.run(job, folder).best.task_score
    return None if score is None else round(score, 2)
