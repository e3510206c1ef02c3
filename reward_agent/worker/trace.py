"""The job ``trace``: a reward program as operations for a device. Loads generated code."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
import torch._numpy as tnp

from reward_agent.definitions.card import EnvCard
from reward_agent.device import arrays
from reward_agent.device.operations import Runner
from reward_agent.device.program import ProgramRunner
from reward_agent.device.tracing import TraceRefusal, read_dtype, trace
from reward_agent.errors import DataError
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.records.operations import GivenArray, Operations, TracedProgram
from reward_agent.records.training_jobs import TraceJob, TraceResult
from reward_agent.rewards.contract import POTENTIAL_TERM, ContractError, normalize_term_names
from reward_agent.rewards.facade import make_globals
from reward_agent.rewards.guards import Namespace
from reward_agent.rewards.language import ENDED, MEMORY_ENTRY, MEMORY_PARAMETER, REWARD_ENTRY
from reward_agent.rewards.program import (
    CompiledReward,
    compile_module,
    compile_program,
    find_potential,
    read_program,
    reads_attribute,
)
from reward_agent.rewards.source import find_needed_fields
from reward_agent.rewards.trial import sample_steps
from reward_agent.simulation.state import State, Transition
from reward_agent.types import RewardProgram

Tensors = dict[str, torch.Tensor]
# Memory that begins as flags and goes on as numbers, or the like: so often its types are sought.
_MOST_TYPES = 3
# Share of a value, or of what is usual beside it; and what no learner feels.
_TOLERANCE, _UNFELT = 1e-4, 1e-6


def prepare(job: TraceJob) -> None:
    """Load what a first trace loads: no library can be imported once the process is sealed."""
    import mujoco.batch  # noqa: F401

    torch.set_num_threads(1)
    x = GivenArray(name="x", shape=(3,))
    with arrays.using_single_precision():
        trace(_try_functions, [x])


def _try_functions(given: Tensors) -> Tensors:
    np_: Any = arrays.NUMPY
    x = tnp.ndarray(given["x"])
    y = np_.where(x > 0, np_.clip(np_.abs(x), 0.1, 1.0) ** 2, np_.array([0.0, 1.0, 2.0]))
    y[:, 0] = np_.linalg.norm(np_.cross(x, y), axis=-1)
    return {"y": (np_.mean(y, axis=-1) + np_.std(x)).tensor}


def run(job: TraceJob, job_dir: Path) -> TraceResult:
    """Trace a program and compare it with itself; what cannot be traced says why.

    Raises:
        DataError: the program in the folder is not the one of the job.
    """
    source = read_program(job_dir, job.program_sha256)
    try:
        reward = compile_program(source, job.card, job.gamma)
        program = trace_program(source, job.card, job.gamma)
        fields = find_needed_fields(source, job.card)
        check_parity(program, reward, sample_steps(job.card, job.seed, fields))
    except (ContractError, TraceRefusal) as error:
        return TraceResult(program_sha256=job.program_sha256, refusal=str(error))
    return TraceResult(program_sha256=job.program_sha256, program=program)


def trace_program(source: str, card: EnvCard, gamma: float) -> TracedProgram:
    """Return what a checked program computes, as operations.

    Args:
        source: its text.
        card: the environment whose fields it reads.
        gamma: discount of the learner, for the potential.

    Raises:
        TraceRefusal: it has none; the text says why.
    """
    with arrays.using_single_precision(), torch.no_grad():
        return _Tracing(source, card, gamma).trace()


class _Tracing:
    """One program on its way to operations."""

    def __init__(self, source: str, card: EnvCard, gamma: float) -> None:
        self._source, self._gamma = source, gamma
        sizes = {field.name: field.size for field in card.fields}
        self._fields = [
            GivenArray(name=name, shape=() if sizes[name] is None else (sizes[name],))
            for name in find_needed_fields(source, card)
        ]
        self._action = GivenArray(name="action", shape=(card.n_actions,))
        functions = _try("its module", self._load)
        self._adds_end = ENDED not in sizes and any(
            reads_attribute(function, ENDED) for function in functions.values()
        )
        parameters = inspect.signature(functions[REWARD_ENTRY]).parameters
        self._has_memory = MEMORY_PARAMETER in parameters

    def trace(self) -> TracedProgram:
        """Return all of it."""
        init, memory = None, list[GivenArray]()
        if self._has_memory:
            init = _trace(self._begin, _name("state.", self._fields))
            memory = _list_outputs(init, "memory.")
        for _ in range(_MOST_TYPES):
            reward = _trace(self._pay, [*self._list_step(), *memory])
            wider = _widen(memory, _list_outputs(reward, "memory."))
            if wider == memory:
                terms = [item.name for item in reward.outputs if item.name.startswith("term.")]
                return TracedProgram(
                    program_sha256=RewardProgram(self._source).sha256,
                    terms=tuple(name.removeprefix("term.") for name in terms),
                    reward=reward,
                    init=init,
                )
            memory = wider
        raise TraceRefusal("the types of its memory change from step to step")

    def _list_step(self) -> list[GivenArray]:
        states = _name("state.", self._fields) + _name("next_state.", self._fields)
        return [*states, self._action, GivenArray(name=ENDED, dtype="bool")]

    def _load(self) -> dict[str, Callable[..., Any]]:
        """Run the module, anew in each trace: what it keeps must be made in that."""
        names = make_globals(numpy=arrays.NUMPY, helpers=arrays.make_library())
        exec(compile_module(self._source), names)
        return {name: value for name, value in names.items() if isinstance(value, FunctionType)}

    def _begin(self, given: Tensors) -> Tensors:
        """Return the memory of new episodes."""
        functions = self._load()
        nobody = torch.zeros(len(next(iter(given.values()))))
        memory = functions[MEMORY_ENTRY](self._see(given, "state.", nobody))
        return _name_memory(memory, len(nobody))

    def _pay(self, given: Tensors) -> Tensors:
        """Return reward, terms and memory of one step."""
        functions, ended = self._load(), given[ENDED].to(torch.float32)
        state = self._see(given, "state.", torch.zeros_like(ended))
        after = self._see(given, "next_state.", ended)
        step = [state, tnp.ndarray(given["action"]), after]
        if self._has_memory:
            step.append(
                {
                    name.removeprefix("memory."): tnp.ndarray(tensor.clone())
                    for name, tensor in given.items()
                    if name.startswith("memory.")
                }
            )
        returned = functions[REWARD_ENTRY](*step)
        reward, terms = _as_row(returned[0], len(ended)), returned[1]
        logged = normalize_term_names(tuple(terms))
        named = {
            f"term.{name}": _as_row(value, len(ended))
            for name, value in zip(logged, terms.values(), strict=True)
        }
        potential = find_potential(functions)
        if potential is not None:
            before, then = (_as_row(potential(seen), len(ended)) for seen in (state, after))
            shaping = self._gamma * torch.where(given[ENDED], 0.0, then) - before
            named[f"term.{POTENTIAL_TERM}"] = shaping
            reward = reward + shaping
        memory = _name_memory(returned[2], len(ended)) if self._has_memory else {}
        return {"reward": reward, **named, **memory}

    def _see(self, given: Tensors, prefix: str, ended: torch.Tensor) -> Namespace:
        """Return what the program sees of a state."""
        fields = {item.name: tnp.ndarray(given[prefix + item.name]) for item in self._fields}
        if self._adds_end:
            fields[ENDED] = tnp.ndarray(ended)
        return Namespace("state", {"n_sims": len(ended), **fields})


def _trace(function: Callable[[Tensors], Tensors], given: Sequence[GivenArray]) -> Operations:
    operations: Operations = _try("the program", lambda: trace(function, given))
    return operations


def _try(what: str, work: Callable[[], Any]) -> Any:
    """Do what runs the program; say what fails in a person's words."""
    try:
        return work()
    except TraceRefusal:
        raise
    except Exception as error:  # of whatever kind: generated code and a tracer together
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == PROGRAM_FILE
        ]
        where = f"line {lines[-1]} of the program" if lines else what
        raise TraceRefusal(f"{where} {_explain(error)}") from error


# What PyTorch says where a trace needs a number that is not there.
_LOOKS = ("DataDependent", "DynamicOutputShape", "get value out of a tracing tensor", "SymInt")


def _explain(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if any(word in text for word in _LOOKS):
        return (
            "decides by the numbers in an array, by `if`, float(), a mask as an index or the like; "
            "a device computes all rows alike: write np.where(condition, a, b)"
        )
    return f"fails on a device: {text[:300]}"


def _name(prefix: str, given: Sequence[GivenArray]) -> list[GivenArray]:
    return [item.model_copy(update={"name": prefix + item.name}) for item in given]


def _as_row(value: Any, rows: int) -> torch.Tensor:
    """Return a number or an array ``(rows,)`` as float32.

    Raises:
        TraceRefusal: it is something else.
    """
    tensor = value.tensor if isinstance(value, tnp.ndarray) else torch.tensor(value)
    if tuple(tensor.shape) not in ((), (rows,)):
        raise TraceRefusal(f"a reward or term has shape {tuple(tensor.shape)}, not (rows,)")
    return tensor.to(torch.float32).expand(rows)


def _name_memory(memory: Any, rows: int) -> Tensors:
    if type(memory) is not dict:
        raise TraceRefusal("its memory is no dict")
    named = {}
    for name, value in memory.items():
        is_array = isinstance(value, tnp.ndarray) and value.shape[:1] == (rows,)
        if not is_array or value.ndim > 2:
            raise TraceRefusal(f"memory {name!r:.80} is no array with a row for each simulation")
        tensor = value.tensor
        named[f"memory.{name}"] = tensor.float() if tensor.is_floating_point() else tensor
    return named


def _list_outputs(operations: Operations, prefix: str) -> list[GivenArray]:
    """Return outputs as the inputs that they are in the next step."""
    try:
        shapes = Runner(operations, 61, "cpu").shapes
    except DataError as error:
        raise TraceRefusal(error.message) from error
    return [
        GivenArray(name=name, shape=tuple(tensor.shape[1:]), dtype=read_dtype(tensor.dtype))
        for name, tensor in shapes.items()
        if name.startswith(prefix)
    ]


def _widen(before: Sequence[GivenArray], after: Sequence[GivenArray]) -> list[GivenArray]:
    """Return memory in types that hold what it is before and after a step."""
    later = {item.name: item for item in after}
    if {item.name: item.shape for item in before} != {n: i.shape for n, i in later.items()}:
        raise TraceRefusal("its memory changes its names or shapes from step to step")
    types = [
        (item, getattr(torch, item.dtype), getattr(torch, later[item.name].dtype))
        for item in before
    ]
    return [
        item.model_copy(update={"dtype": read_dtype(torch.promote_types(first, second))})
        for item, first, second in types
    ]


# --- parity with NumPy ---------------------------------------------------------------------------


def check_parity(
    program: TracedProgram, reward: CompiledReward, steps: Sequence[Transition]
) -> None:
    """Compare what operations pay with what the program pays by NumPy, in float64.

    Args:
        program: the operations.
        reward: the program.
        steps: consecutive steps of some simulations; the fallen restart.

    Raises:
        TraceRefusal: they differ by more than one in ten thousand.
        ContractError: the program fails by itself.
    """
    runner = ProgramRunner(program, len(steps[0].action), "cpu")
    memory = runner.init(_to_tensors(steps[0].state))
    reward.begin(steps[0].state)
    for number, step in enumerate(steps):
        given = (_to_tensors(seen) for seen in (step.state, step.next_state))
        state, after = given
        ended = torch.from_numpy(np.array(step.terminated, dtype=bool))
        action = torch.from_numpy(step.action.astype(np.float32))
        paid = runner.reward(state, action, after, ended, memory)
        expected = reward.step(step.state, step.action, step.next_state, step.terminated)
        columns = np.stack([expected.reward, *(expected.terms[n] for n in program.terms)], axis=1)
        found = torch.cat([paid.reward[:, None], paid.terms], dim=1).numpy()
        _compare(found, columns, ("the reward", *program.terms))
        memory = paid.memory
        if number + 1 < len(steps):
            following = steps[number + 1].state
            reward.restart(np.flatnonzero(step.terminated), following)
            memory = _restart(memory, runner.init(_to_tensors(following)), ended)


def _compare(found: Any, expected: Any, names: Sequence[str]) -> None:
    usual = np.abs(expected).mean(axis=0)
    allowed = _TOLERANCE * np.maximum(np.abs(expected), usual) + _UNFELT
    # Not a number is as far apart as can be.
    is_apart = ~(np.abs(found - expected) <= allowed)
    if is_apart.any():
        row, column = np.argwhere(is_apart)[0]
        raise TraceRefusal(
            f"in single precision {names[column]} is {found[row, column]:.6g}, with NumPy "
            f"{expected[row, column]:.6g}"
        )


def _to_tensors(state: State) -> Tensors:
    return {
        name: torch.from_numpy(values.astype(np.float32)) for name, values in state.fields.items()
    }


def _restart(memory: Tensors, fresh: Tensors, mask: torch.Tensor) -> Tensors:
    return {
        name: torch.where(mask.reshape(-1, *(1,) * (values.ndim - 1)), fresh[name], values)
        for name, values in memory.items()
    }
