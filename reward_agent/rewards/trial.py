"""The probe of a program: what no static rule can see, found on sample steps. Child side.

Each check takes a fresh copy of the program, so that none disturbs another.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.rewards.contract import POTENTIAL_TERM, ContractError
from reward_agent.rewards.program import CompiledReward, StepReward
from reward_agent.simulation.state import State, Transition
from reward_agent.types import Finding, Severity, TermScale

Array = np.ndarray[Any, Any]
MakeReward = Callable[[], CompiledReward]
# From the ends of a range to a value, or one for each simulation.
Choose = Callable[[float, float], float | Array]

N_SIMS = 64
BATCH_SIZES = (N_SIMS, 7, 1)
_SLOW_CALL_US = 1_000.0
_UNUSABLE_CALL_US = 50_000.0
# 512 simulations cost about as much as 64 for array code; 8 times as much for Python loops.
_LARGE_BATCH = 512
_MAX_GROWTH = 6.0
_MAX_SHOWN_FIELDS = 6
# Steps from one end of each field's range to the other, and what no learner feels beside rewards.
_SWEEP, _UNFELT = 41, 1e-6
# Numbers of fields that go through their ranges one by one.
_MOST_SWEPT = 60
# Roles of where the robot is, and the speeds, m/s, at which it may go where the card says none.
_TRAVELS, _USUAL_SPEEDS = ("position", "forward_position", "com_position"), (-5.0, 5.0)
# Of a field whose range the card does not say.
_OTHERWISE = (-10.0, 10.0)


@dataclass
class Trial:
    """One program on sample steps: the findings, and what was measured on the way.

    Args:
        make_reward: makes a fresh copy of the program.
        steps: consecutive steps of some simulations.
        read_fields: fields that the program reads, shown beside a value that is not finite.
        seed: of the batch sizes that are tried beside the usual ones.
    """

    make_reward: MakeReward
    steps: Sequence[Transition]
    read_fields: tuple[str, ...] = ()
    seed: int = 0
    findings: list[Finding] = field(default_factory=list)
    terms: tuple[TermScale, ...] = ()
    call_us: float | None = None
    is_additive: bool | None = None
    rewards: Array | None = None

    @property
    def has_errors(self) -> bool:
        """Whether a finding refuses the program."""
        return any(finding.severity == "error" for finding in self.findings)

    def run(self) -> None:
        """Run all checks; the later ones only on a program that runs at all."""
        checks = (
            self._try_sizes,
            self._check_repeats,
            self._check_rows,
            self._check_time,
            self._measure_terms,
        )
        for check in checks:
            self.findings.extend(_collect(check()))
            if self.has_errors:
                return

    def try_extremes(self, extremes: Iterator[tuple[str, Transition]]) -> None:
        """Call the program at the edges of the fields; failing there is a warning."""
        for name, step in extremes:
            try:
                paid = _call(self.make_reward(), step)
                self.findings.extend(_find_flat_terms(paid) if len(paid.reward) == _SWEEP else ())
            except ContractError as error:
                what = f"{error.message} — with {name}"
                self.findings.append(_finding("extreme", "warning", what, error.remedy, error.line))
                return

    def _try_sizes(self) -> Iterator[Finding]:
        """Run the sample steps with every batch size; the first failure ends it."""
        names: dict[int, tuple[str, ...]] = {}
        for size in BATCH_SIZES:
            chosen = [_resize(step, size) for step in self.steps]
            reward = self.make_reward()
            paying = pay_steps(reward, chosen)
            for step in chosen:
                try:
                    next(paying)
                except ContractError as error:
                    yield self._explain(error, step, size)
                    return
            names[size] = reward.term_names
        if len({frozenset(given) for given in names.values()}) > 1:
            shown = "; ".join(f"{', '.join(given)} with {size}" for size, given in names.items())
            yield _finding(
                "term-names-change",
                "error",
                f"the terms change with the number of simulations: {shown}",
                "return the same terms in every call",
            )

    def _explain(self, error: ContractError, step: Transition, size: int) -> Finding:
        """Return the finding for a broken contract, with the field values where it broke."""
        message = f"{error.message} (batch of {size})"
        if error.simulation is not None:
            shown = [
                f"{name}={_show(step.next_state.fields[name][error.simulation])}"
                for name in self.read_fields[:_MAX_SHOWN_FIELDS]
            ]
            message += f"; next_state there: {', '.join(shown)}" if shown else ""
        rule = error.rule.split("/")[-1]
        return _finding(rule, "error", message, error.remedy, error.line)

    def _check_repeats(self) -> Iterator[Finding]:
        """Check that the same step pays the same: twice, and after another one."""
        first, other = self.steps[0], self.steps[-1]
        reward = self.make_reward()
        results = [_call(reward, step) for step in (first, first, other, first)]
        results.append(_call(self.make_reward(), first))
        rows = np.arange(len(first.action))
        if not all(
            results[index].is_close(results[0], rows, rtol=0, atol=0) for index in (1, 3, 4)
        ):
            yield _finding(
                "not-deterministic",
                "error",
                "the same step pays differently when it is called again",
                "use the arguments only: no randomness, no memory but init_memory",
            )

    def _check_rows(self) -> Iterator[Finding]:
        """Check that a simulation's reward depends on that simulation alone."""
        step = self.steps[len(self.steps) // 2]
        size = len(step.action)
        whole = _call(self.make_reward(), step)
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(size)
        if not _call(self.make_reward(), step.take(order)).is_close(whole, order):
            yield _finding(
                "row-order",
                "error",
                "the reward of a simulation depends on its place in the batch",
                "compute each row from that row: no np.arange(N), no x[0], no sum over axis 0",
            )
            return
        parts = [np.arange(size)[start : start + 7] for start in range(0, size, 7)]
        parts += [np.array([0]), np.array([size - 1])]
        sizes = [*generator.integers(2, size + 1, 3), *generator.integers(size, _LARGE_BATCH, 3)]
        parts += [generator.integers(size, size=n) for n in sizes]
        for ids in parts:
            if not _call(self.make_reward(), step.take(ids)).is_close(whole, ids):
                yield _finding(
                    "batch-statistic",
                    "warning",
                    "the reward of a simulation changes with the others in the batch",
                    "use axis=-1 in mean, max, std and norm, so that rows stay apart; "
                    "scale by constants",
                )
                return

    def _check_time(self) -> Iterator[Finding]:
        """Measure a call, and how it grows with the number of simulations."""
        step = _resize(self.steps[-1], N_SIMS)
        self.call_us = _time_call(self.make_reward(), step)
        if self.call_us > _UNUSABLE_CALL_US:
            yield _finding(
                "slow",
                "error",
                f"a call takes {self.call_us / 1e3:.0f} ms for {N_SIMS} simulations",
                "compute with whole arrays, without loops over simulations",
            )
            return
        large_us = _time_call(self.make_reward(), _resize(step, _LARGE_BATCH))
        if self.call_us > _SLOW_CALL_US or large_us > _MAX_GROWTH * max(self.call_us, 300.0):
            yield _finding(
                "slow",
                "warning",
                f"a call takes {self.call_us:.0f} µs for {N_SIMS} simulations and {large_us:.0f} "
                f"µs for {_LARGE_BATCH}",
                "compute with whole arrays, without loops over simulations or (N, N) tables",
            )

    def _measure_terms(self) -> Iterator[Finding]:
        """Measure every term on the sample steps, and note those that say nothing."""
        paid = list(pay_steps(self.make_reward(), self.steps))
        reward = self.rewards = np.concatenate([step.reward for step in paid])
        terms = {
            name: np.concatenate([step.terms[name] for step in paid]) for name in paid[0].terms
        }
        self.terms = tuple(_scale(name, values) for name, values in terms.items())
        total = np.sum(list(terms.values()), axis=0) if terms else np.zeros_like(reward)
        self.is_additive = bool(np.allclose(total, reward, rtol=1e-6, atol=1e-9))
        yield from _judge_terms(self.terms, _scale("reward", reward), len(reward))


def pay_steps(reward: CompiledReward, steps: Sequence[Transition]) -> Iterator[StepReward]:
    """Yield what a program pays for consecutive steps.

    Raises:
        ContractError: the program fails or breaks the contract.
    """
    reward.begin(steps[0].state)
    for step, following in itertools.zip_longest(steps, steps[1:]):
        yield reward.step(step.state, step.action, step.next_state, step.terminated)
        if following is not None:
            reward.restart(np.flatnonzero(step.terminated), following.state)


def _resize(step: Transition, n_sims: int) -> Transition:
    """Return a step of another number of simulations: the first, or all of them again."""
    return step.take(np.arange(n_sims) % len(step.action))


def _call(reward: CompiledReward, step: Transition) -> StepReward:
    reward.begin(step.state)
    return reward.step(step.state, step.action, step.next_state, step.terminated)


def _collect(findings: Iterator[Finding]) -> list[Finding]:
    """Return the findings of a check; a contract broken meanwhile is one of them."""
    collected: list[Finding] = []
    try:
        collected.extend(findings)
    except ContractError as error:
        rule = error.rule.split("/")[-1]
        collected.append(_finding(rule, "error", error.message, error.remedy, error.line))
    return collected


def _time_call(reward: CompiledReward, step: Transition) -> float:
    """Return microseconds of a call: the best of thirty, fewer if they take a tenth of a second."""
    reward.begin(step.state)
    best, spent = np.inf, 0.0
    while spent < 0.1:
        start = time.perf_counter()
        reward.step(step.state, step.action, step.next_state, step.terminated)
        elapsed = time.perf_counter() - start
        best, spent = min(best, elapsed), spent + max(elapsed, 1 / 300)
    return float(best * 1e6)


def _find_flat_terms(paid: StepReward) -> Iterator[Finding]:
    """Yield a warning for each term that is too small to be felt while its field changes."""
    for name, values in paid.terms.items():
        n_felt, n_unfelt = (np.abs(values) >= _UNFELT).sum(), (values != 0).sum()
        if n_felt <= _SWEEP // 20 < n_unfelt:
            yield _finding(
                "flat-term",
                "warning",
                f"{name} is below {_UNFELT:g} over nearly all of its fields' range",
                "divide by a scale like the field's own: np.exp(-np.abs(x) / scale), or tolerance",
            )


def _scale(name: str, values: Array) -> TermScale:
    return TermScale(
        name=name,
        mean=float(values.mean()),
        std=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def _judge_terms(terms: Sequence[TermScale], reward: TermScale, n_steps: int) -> Iterator[Finding]:
    """Yield warnings on terms that never change, and on a reward that does not."""
    if reward.minimum == reward.maximum:
        yield _finding(
            "constant-reward",
            "warning",
            f"the reward is {reward.mean:.3g} in all {n_steps} random steps",
            "let it depend on next_state; a constant only pays for staying alive",
        )
    for term in terms:
        size = max(-term.minimum, term.maximum)
        if size < _UNFELT**2:
            yield _finding(
                "dead-term",
                "warning",
                f"{term.name} is {'below 1e-12' if size else 0} in all {n_steps} random steps",
                "give it a slope that random motion can feel, or check its threshold and unit",
            )
        elif term.minimum == term.maximum and reward.minimum != reward.maximum:
            yield _finding(
                "constant-term",
                "hint",
                f"{term.name} is {term.mean:.3g} in all {n_steps} random steps",
                "rescale it or drop it, unless it pays for staying alive",
            )
    sizes = {term.name: abs(term.mean) + term.std for term in terms if term.name != POTENTIAL_TERM}
    largest = max(sizes, key=lambda name: sizes[name], default="")
    others = sum(sizes.values()) - sizes.get(largest, 0.0)
    if len(sizes) > 1 and sizes[largest] > 100 * others > 0:
        yield _finding(
            "dominant-term",
            "warning",
            f"{largest} is {sizes[largest] / others:.0f} times the size of all other terms",
            "scale the terms to a like size, so that the others are heard",
        )


def _show(value: Array) -> str:
    return f"{float(value):.4g}" if np.ndim(value) == 0 else f"[{np.ndim(value)}-d]"


def _finding(
    rule: str, severity: Severity, message: str, remedy: str, line: int | None = None
) -> Finding:
    return Finding(
        rule=f"probe/{rule}", severity=severity, message=message, remedy=remedy, line=line
    )


# --- steps of an environment to try a program on: real ones, and extreme ones ---------------------

# An action held for a few steps moves the robot further than noise at every step.
_HOLD_STEPS = 4

# Simulations and steps of a sample.
_SAMPLE = (32, 40)

# A sample of every field, with its card and seed: a process with everything imported makes it once
# for all that it forks.
_kept: list[tuple[EnvCard, int, list[Transition]]] = []


def keep_sample(card: EnvCard, seed: int) -> None:
    """Make what ``sample_steps`` then finds, here and in the forks of this process."""
    if not any((card, seed) == kept[:2] for kept in _kept):
        _kept[:] = [(card, seed, roll_out_random_policy(card, seed, *_SAMPLE))]


def sample_steps(card: EnvCard, seed: int, fields: Sequence[str]) -> list[Transition]:
    """Return consecutive steps to try a program on, with these fields alone: that takes less."""
    for kept_card, kept_seed, steps in _kept:
        if (card, seed) == (kept_card, kept_seed):
            return [_select(step, fields) for step in steps]
    return roll_out_random_policy(card, seed, *_SAMPLE, fields)


def _select(step: Transition, fields: Sequence[str]) -> Transition:
    state, after = (
        State({name: seen.fields[name] for name in fields})
        for seen in (step.state, step.next_state)
    )
    return Transition(state, step.action, after, step.terminated)


def roll_out_random_policy(
    card: EnvCard, seed: int, n_sims: int, n_steps: int, fields: Sequence[str] | None = None
) -> list[Transition]:
    """Return consecutive steps of random actions, from reset states on; the fallen restart."""
    from reward_agent.simulation.backends import find_backend, make_simulation
    from reward_agent.simulation.simulation import draw_actions

    generator = np.random.default_rng(seed)
    n_sims = min(n_sims, find_backend(card).most_simulations or n_sims)
    simulation = make_simulation(card, n_sims, seed, fields)
    simulation.reset()
    state = simulation.read_state()
    action = np.zeros((n_sims, card.n_actions))
    steps = []
    for index in range(n_steps):
        if index % _HOLD_STEPS == 1:
            action = draw_actions(card, generator, n_sims)
        simulation.step(action)
        next_state, terminated = simulation.read_state(), simulation.find_terminated().copy()
        step = Transition(state, action.copy(), next_state, terminated)
        # Read-only, as its states are: it is shared.
        step.action.flags.writeable = step.terminated.flags.writeable = False
        steps.append(step)
        state = next_state
        is_over = terminated | simulation.find_truncated()
        if is_over.any():
            simulation.reset(np.flatnonzero(is_over))
            state = simulation.read_state()
    return steps


def make_extremes(card: EnvCard, real: Transition) -> Iterator[tuple[str, Transition]]:
    """Yield steps at the edges of what fields can be, with a name for each.

    A distance of zero, a range's end, no motion at all: where 1/x, logarithms and exponents break.
    """
    nothing, nobody = np.zeros_like(real.action), np.zeros_like(real.terminated)
    yield "nothing moved and no action", Transition(real.state, nothing, real.state, nobody)
    zeros = _fill(card, real, lambda lower, upper: 0.0)
    yield "every field zero (the goal itself, for a distance)", zeros
    yield "every field at its lower end", _fill(card, real, lambda lower, upper: lower)
    yield "every field at its upper end", _fill(card, real, lambda lower, upper: upper)
    swept = real.take(np.arange(_SWEEP) % len(real.action))
    yield (
        "every field going through its range",
        _fill(card, swept, lambda lower, upper: np.linspace(lower, upper, _SWEEP)),
    )


def sweep_fields(card: EnvCard, start: Transition, names: Sequence[str]) -> Transition:
    """Return steps from one state, in which one number of one field goes through its range.

    In the others, of a field that says where the robot is, it travels at any speed.

    Args:
        card: which has the ranges.
        start: one simulation, where the robot is at rest.
        names: fields that go through their ranges, one number after the other.
    """
    places = [
        (name, index)
        for name in names
        for index in range(start.state.fields[name].reshape(1, -1).shape[1])
    ][:_MOST_SWEPT]
    ranges = {field.name: field.range for field in card.state}
    ways = [(n, i) for n, i in places if i < 2 and n in _list_travelled(card)]
    swept = start.take(np.zeros(_SWEEP * (len(places) + len(ways)), dtype=int))
    fields = {n: np.array(v, order="C") for n, v in swept.next_state.fields.items()}
    for number, (name, index) in enumerate(places):
        low, high = np.clip(ranges.get(name, _OTHERWISE), -1e3, 1e3)
        rows = slice(number * _SWEEP, (number + 1) * _SWEEP)
        fields[name].reshape(len(swept.action), -1)[rows, index] = np.linspace(low, high, _SWEEP)
    moved = {name: values.copy() for name, values in fields.items()}
    speeds = np.linspace(*_find_speeds(card), _SWEEP) * card.control_dt
    for number, (name, index) in enumerate(ways, start=len(places)):
        rows = slice(number * _SWEEP, (number + 1) * _SWEEP)
        moved[name].reshape(len(swept.action), -1)[rows, index] += speeds
    return Transition(State(fields), np.zeros_like(swept.action), State(moved), swept.terminated)


def _list_travelled(card: EnvCard) -> set[str]:
    """Return the fields that say where the robot is along the floor."""
    return {f.name for role in _TRAVELS for f in card.list_roles(role)}


def _find_speeds(card: EnvCard) -> tuple[float, float]:
    """Return the range of the robot's speed along the floor, m/s."""
    field = card.find_role("forward_velocity")
    return field.range if field is not None else _USUAL_SPEEDS


def _fill(card: EnvCard, real: Transition, choose: Choose) -> Transition:
    """Return a step in which each field has the same values; ranges are those of the card."""
    ranges = {field.name: field.range for field in card.state}
    fields = {}
    for name, values in real.state.fields.items():
        lower, upper = ranges.get(name, _OTHERWISE)
        edge = choose(max(lower, -1e3), min(upper, 1e3))
        fields[name] = np.broadcast_to(np.transpose(edge), values.T.shape).T.copy()
    action = np.broadcast_to(np.transpose(choose(*card.action_range)), real.action.T.shape).T.copy()
    edges = State({name: values.copy() for name, values in fields.items()})
    return Transition(State(fields), action, edges, np.zeros_like(real.terminated))
