"""A checked program, compiled and called: one call a step for all simulations. Child side.

The contract is checked at every call, because some programs behave until step n. Inputs are
read-only, what comes back is copied, and lists, dicts and arrays of the module are frozen, so
that a program cannot remember anything but its declared memory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.rewards.bounds import Reporting
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import read_choices
from reward_agent.rewards.contract import (
    POTENTIAL_TERM,
    Array,
    ContractError,
    check_memory,
    check_reward,
    check_same_memory,
    check_stage,
    check_terms,
    normalize_term_names,
)
from reward_agent.rewards.facade import make_globals
from reward_agent.rewards.gates import Gates, Openings
from reward_agent.rewards.guards import Kept, freeze, guard_syntax
from reward_agent.rewards.language import (
    ENDED,
    MEMORY_ENTRY,
    MEMORY_PARAMETER,
    POTENTIAL_ENTRY,
    REWARD_ENTRY,
    STAGE_MEMORY,
)
from reward_agent.rewards.source import compile_tree, parse_source
from reward_agent.simulation.state import State, Transition
from reward_agent.types import RewardProgram

Rows = np.ndarray[Any, Any]
Memory = dict[str, np.ndarray[Any, Any]]

# Rows of a small batch, as the probe tries.
_FEW = 7


@dataclass(frozen=True)
class StepReward:
    """Reward of one step: ``reward`` (N,) and each term (N,), shaping included in both."""

    reward: Array
    terms: dict[str, Array]
    memory: Memory = field(default_factory=dict)
    openings: Openings = field(default_factory=dict)

    def is_close(
        self, whole: StepReward, ids: Rows, *, rtol: float = 1e-7, atol: float = 1e-9
    ) -> bool:
        """Whether it is what the rows ``ids`` of the whole pay, up to the order of sums."""
        if self.terms.keys() != whole.terms.keys():
            return False
        pairs = [(self.reward, whole.reward)]
        pairs += [(self.terms[name], whole.terms[name]) for name in whole.terms]
        return all(np.allclose(a, b[ids], rtol=rtol, atol=atol) for a, b in pairs)


def read_program(job_dir: Path, sha256: str) -> str:
    """Return the program in a job's folder.

    Raises:
        DataError: it is not the one that the job names.
    """
    source = (job_dir / PROGRAM_FILE).read_bytes().decode("utf-8", "replace")
    given = RewardProgram(source).sha256
    if given != sha256:
        raise DataError(
            f"{PROGRAM_FILE} has sha256 {given[:12]}…; the job says {sha256[:12]}…",
            "write the program's text as UTF-8, without changing its line ends",
        )
    return source


def compile_program(source: str, card: EnvCard, gamma: float) -> CompiledReward:
    """Check and compile a program.

    Args:
        source: its text.
        card: the environment whose fields it reads.
        gamma: discount of the learner, for the potential.

    Raises:
        ContractError: the static rules refuse it, or its module fails.
    """
    report = check_program(RewardProgram(source), card)
    for finding in report.errors:
        raise ContractError(finding.rule, finding.message, finding.remedy, finding.line)
    seed = int(report.program_sha256[:8], 16)
    moments = np.random.default_rng(seed)
    return CompiledReward(load_functions(source), gamma, moments, read_choices(source).stages)


@lru_cache(maxsize=4)
def compile_module(source: str) -> CodeType:
    """Return the code of a program, of which a probe takes many fresh copies."""
    parsing = parse_source(source)
    if parsing.source is None:
        raise ContractError(parsing.findings[0].rule, parsing.findings[0].message)
    guard_syntax(parsing.source.tree)
    return compile_tree(parsing.source.tree, PROGRAM_FILE)


def load_functions(
    source: str, extra: Mapping[str, Any] | None = None
) -> dict[str, Callable[..., Any]]:
    """Run the module of a program that was checked, and return its functions by name.

    Functions of ours that it keeps, ``score = travel(…)``, are among them.

    Args:
        source: its text.
        extra: further global names, such as ``Score``.

    Raises:
        ContractError: it does not parse, or fails.
    """
    names = make_globals(extra)
    given = set(names)
    code = compile_module(source)
    with np.errstate(all="ignore"), Reporting("the module"):
        exec(code, names)
        for name in set(names) - given:
            names[name] = freeze(name, names[name])
    return {n: value for n, value in names.items() if isinstance(value, FunctionType | Kept)}


def find_potential(functions: Mapping[str, Callable[..., Any]]) -> Callable[..., Any] | None:
    """Return ``potential(state)``; a helper of that name with other parameters is none."""
    candidate = functions.get(POTENTIAL_ENTRY)
    if candidate is None or tuple(inspect.signature(candidate).parameters) != ("state",):
        return None
    return candidate


def reads_attribute(function: Callable[..., Any] | CodeType, attribute: str) -> bool:
    """Whether a function of a program names an attribute, in functions within it as well."""
    code = function if isinstance(function, CodeType) else getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return attribute in code.co_names or any(reads_attribute(item, attribute) for item in inner)


def _add_end(state: State, terminated: Array) -> State:
    """Return a state with the field that says whether the episode has terminated with it.

    A card's own field of that name is kept.
    """
    return State({ENDED: terminated, **state.fields})


class CompiledReward:
    """The functions of one program, called for N simulations at a time.

    Call ``begin`` once, then ``step`` after each control step, and ``restart`` for the simulations
    that were reset.

    Args:
        functions: those of the module.
        gamma: discount of the learner, for the potential.
        moments: draws the calls, ever rarer, after which it is tried whether each row is paid for
            itself; None: after none.
        stages: what an episode goes through, in order, if it remembers in which it is.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        gamma: float,
        moments: np.random.Generator | None = None,
        stages: Sequence[str] = (),
    ) -> None:
        self.stages = normalize_term_names(tuple(stages))
        self._compute_reward = functions[REWARD_ENTRY]
        self._potential = find_potential(functions)
        uses_memory = MEMORY_PARAMETER in inspect.signature(self._compute_reward).parameters
        self._init_memory = functions[MEMORY_ENTRY] if uses_memory else None
        self._gamma = gamma
        self._sees_end = any(reads_attribute(f, ENDED) for f in functions.values())
        self._memory: Memory = {}
        self._given_names: tuple[object, ...] | None = None
        self._logged_names: tuple[str, ...] = ()
        self._moments = moments
        self._gates: Gates | None = None
        self._openings: Openings = {}
        self._n_calls, self._next_trial = 0, 1 if moments else 0

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms as they are logged; empty before the first step."""
        shaping = (POTENTIAL_TERM,) if self._potential else ()
        return self._logged_names + shaping if self._given_names is not None else ()

    def watch(self, source: str) -> None:
        """From now on tell of each step which conditions of the program's gates are open."""
        self._gates = Gates(source, self._compute_reward)

    @property
    def has_memory(self) -> bool:
        """Whether the program remembers something within an episode."""
        return self._init_memory is not None

    @property
    def stage(self) -> NDArray[np.intp]:
        """In which of its stages each simulation is, (N,), a copy; it must have some."""
        return self._memory[STAGE_MEMORY].astype(np.intp)

    def begin(self, state: State) -> None:
        """Start episodes in all simulations, whose first state this is.

        Raises:
            ContractError: ``init_memory`` fails or returns something else than memory.
        """
        if self._init_memory:
            with np.errstate(all="ignore"):
                self._memory = self._make_memory(state)

    def restart(self, ids: np.ndarray[Any, Any], state: State) -> None:
        """Start new episodes in some simulations.

        Args:
            ids: indices of the simulations that were reset.
            state: first state of the new episodes, of all N simulations; only the rows of ``ids``
                are used.

        Raises:
            ContractError: ``init_memory`` fails or returns something else than memory.
        """
        if not self._init_memory or not len(ids):
            return
        with np.errstate(all="ignore"):
            fresh = self._make_memory(state)
        check_same_memory(fresh, self._memory)
        for name, values in fresh.items():
            self._memory[name][ids] = values[ids]

    def step(
        self,
        state: State,
        action: np.ndarray[Any, Any],
        next_state: State,
        terminated: np.ndarray[Any, Any],
    ) -> StepReward:
        """Return the reward of one step.

        Args:
            state: before the step.
            action: (N, n_actions).
            next_state: after the step and before any reset.
            terminated: (N,) bool; true terminals, not truncations.

        Raises:
            ContractError: the program fails or breaks the contract.
        """
        if self._sees_end:
            state = _add_end(state, np.zeros(len(action)))
            next_state = _add_end(next_state, np.asarray(terminated, np.float64))
        memory, step = self._memory, Transition(state, action, next_state, terminated)
        paid = self._pay(step)
        self._n_calls += 1
        if self._moments and self._n_calls >= self._next_trial:
            self._next_trial = int(self._n_calls * self._moments.uniform(1.0, 8.0)) + 1
            self._try_rows(step, memory, paid, self._moments)
        return paid

    def _pay(self, step: Transition) -> StepReward:
        # What is not a number is found by the contract, not by NumPy's warnings.
        with np.errstate(all="ignore"):
            with Reporting(REWARD_ENTRY):
                values, terms = self._evaluate(step.state, step.action, step.next_state)
            if self._potential:
                with Reporting(POTENTIAL_ENTRY):
                    shaping = self._shape(step.state, step.next_state, step.terminated)
                terms[POTENTIAL_TERM] = shaping
                values = values + shaping
        if self._gates is None:
            return StepReward(values, terms)
        # A copy: what begins anew is written into it.
        memory = {name: value.copy() for name, value in self._memory.items()}
        return StepReward(values, terms, memory, self._openings)

    def _try_rows(
        self, step: Transition, memory: Memory, paid: StepReward, generator: np.random.Generator
    ) -> None:
        """Pay some rows again, in another order; what the probe knew of is no fault.

        Raises:
            ContractError: they pay differently among others, as they do not in a small batch.
        """
        size = len(step.action)
        order = generator.permutation(size)
        some = order[: generator.integers(1, size + 1)]
        few = some[:_FEW]
        if self._pays_alike(step, memory, paid, order):
            if self._pays_alike(step, memory, paid, some):
                return
            # A batch statistic, of which the probe warned, changes with any batch.
            together = self._pay_rows(step, memory, few)
            if not self._pay_rows(step, memory, few[:1]).is_close(together, few[:1] * 0):
                return
        raise ContractError(
            "contract/rows",
            f"the reward of a simulation changes with the others among {size} simulations",
            "compute each row from that row: no np.arange(N), no x[0], no len(x), axis=-1 in sums",
        )

    def _pays_alike(self, step: Transition, memory: Memory, paid: StepReward, ids: Rows) -> bool:
        """Whether rows pay by themselves what they paid among all, but for what rounding does."""
        return self._pay_rows(step, memory, ids).is_close(paid, ids, rtol=1e-4, atol=1e-6)

    def _pay_rows(self, step: Transition, memory: Memory, ids: Rows) -> StepReward:
        """Return what some rows would be paid by themselves; nothing is remembered of it."""
        kept, self._memory = self._memory, {name: values[ids] for name, values in memory.items()}
        try:
            return self._pay(step.take(ids))
        finally:
            self._memory = kept

    def _evaluate(
        self, state: State, action: np.ndarray[Any, Any], next_state: State
    ) -> tuple[Array, dict[str, Array]]:
        """Call ``compute_reward`` on a private action and check what it returns."""
        n_sims = len(action)
        private_action = action.astype(np.float64)
        private_action.flags.writeable = False
        reward, given = self._call_reward(state, private_action, next_state, n_sims)
        # The terms first: what breaks one breaks the reward too, and the term has a name.
        terms = check_terms(given, n_sims)
        values = check_reward(reward, n_sims)
        return values, dict(zip(self._match_names(tuple(terms)), terms.values(), strict=True))

    def _call_reward(
        self, state: State, action: Array, next_state: State, n_sims: int
    ) -> tuple[object, object]:
        """Call ``compute_reward`` and keep the memory it returns."""
        given: tuple[object, ...] = (state, action, next_state)
        if self._init_memory:
            given += ({name: values.copy() for name, values in self._memory.items()},)
        if self._gates is not None:
            returned, self._openings = self._gates.call(self._compute_reward, *given)
        else:
            returned = self._compute_reward(*given)
        expected = 3 if self._init_memory else 2
        if type(returned) is not tuple or len(returned) != expected:
            form = "reward, terms, memory" if self._init_memory else "reward, terms"
            found = f"{type(returned).__name__}" + (
                f" of {len(returned)}" if type(returned) is tuple else ""
            )
            raise ContractError(
                "contract/return",
                f"{REWARD_ENTRY} returned a {found}; expected a tuple ({form})",
                f"end every branch with: return {form}",
            )
        if self._init_memory:
            memory = check_memory(returned[2], n_sims)
            check_same_memory(memory, self._memory)
            if self.stages:
                check_stage(memory, len(self.stages))
            self._memory = memory
        return returned[0], returned[1]

    def _match_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names for the log; they must be the same in every call."""
        if names == self._given_names:
            return self._logged_names
        logged = normalize_term_names(names)
        if self._given_names is None:
            self._given_names, self._logged_names = names, logged
        elif set(logged) != set(self._logged_names):
            before, now = ", ".join(self._logged_names), ", ".join(logged)
            raise ContractError(
                "contract/term-names-change",
                f"the terms were {before}; now they are {now}",
                "return the same terms in every call; use np.zeros_like where one does not apply",
            )
        return logged

    def _shape(self, state: State, next_state: State, terminated: np.ndarray[Any, Any]) -> Array:
        """Return γΦ(s′) − Φ(s), with Φ = 0 at true terminals and not at truncation.

        Source: Ng, Harada, Russell 1999, Policy invariance under reward transformations, theorem 1;
        for episodes, Φ of the terminal state is 0 (Grzes 2017, Reward shaping in episodic RL).
        """
        after = np.where(terminated, 0.0, self._call_potential(next_state))
        return np.asarray(self._gamma * after - self._call_potential(state))

    def _call_potential(self, state: State) -> Array:
        assert self._potential is not None
        value = self._potential(state)
        if type(value) is not np.ndarray:
            raise ContractError(
                "contract/potential",
                f"{POTENTIAL_ENTRY} returned a {type(value).__name__}; expected an array (N,)",
                "compute it from the fields, which are arrays with one row a simulation",
            )
        return check_reward(value, state.n_sims)

    def _make_memory(self, state: State) -> dict[str, np.ndarray[Any, Any]]:
        assert self._init_memory is not None
        with Reporting(MEMORY_ENTRY):
            memory = check_memory(self._init_memory(state), state.n_sims)
            if self.stages:
                check_stage(memory, len(self.stages))
            return memory
