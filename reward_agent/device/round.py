"""A round of trainings on one device: programs and seeds side by side, each step of all at once.

Within a rollout the host decides nothing: it launches, and looks at a summary once at the end.
There a full buffer voids the rollout, which is repeated with more room, and a program whose pay is
no number ends its trainings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from reward_agent.definitions.card import EnvCard
from reward_agent.device.fields import OUTSIDE, FieldRunner, trace_fields
from reward_agent.device.program import ProgramRunner
from reward_agent.device.seats import make_rows
from reward_agent.device.stack import Seat, Stack, make_rollout
from reward_agent.device.worlds import Room, Worlds
from reward_agent.learning.learner import TrainingFailure
from reward_agent.learning.term_log import Stretch
from reward_agent.rewards.contract import ContractError, check_reward, check_term

Tensor: TypeAlias = torch.Tensor
Tensors: TypeAlias = Mapping[str, Tensor]

_PARTS = ("physics", "state", "reward", "policy", "update")


@dataclass(frozen=True)
class Shape:
    """How the env steps of a learner's rollout are laid out.

    Args:
        n_worlds: worlds of each learner, M.
        n_steps: of a rollout, T.
    """

    n_worlds: int
    n_steps: int


@dataclass(frozen=True)
class WorldStates:
    """Where all N worlds are between two steps; nothing in it is written to.

    Args:
        state: the fields, each (N,) or (N, k).
        lengths: (N,) steps of the episode so far.
        memories: what each program remembers.
        running: (N, X + 2): what the episode so far paid by term, in all, and its steps.
        ended: (N, X + 3): the same of the episodes that have ended in this rollout, and how many.
    """

    state: Tensors
    lengths: Tensor
    memories: tuple[Tensors, ...]
    running: Tensor
    ended: Tensor


class Stopwatch:
    """Where time goes on a device, by activity; on a GPU it is read after the rollout.

    Attributes:
        seconds: by activity.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(_PARTS, 0.0)
        self._is_gpu = device.type == "cuda"
        self._marks: list[tuple[str, Any]] = []

    def mark(self, part: str) -> None:
        """Say what begins now."""
        if self._is_gpu:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((part, event))
        else:
            self._marks.append((part, time.perf_counter()))

    def read(self) -> None:
        """Add up what was marked, to the last mark, which the device is waited for to come past."""
        if self._is_gpu and self._marks:
            self._marks[-1][1].synchronize()
        for (part, begun), (_, ended) in zip(self._marks[:-1], self._marks[1:], strict=True):
            spent = begun.elapsed_time(ended) / 1000 if self._is_gpu else ended - begun
            self.seconds[part] += spent
        self._marks.clear()


class Round:
    """K learners under their programs, at the start of their first episodes.

    Args:
        card: the environment.
        programs: by sha256, each for all worlds of its learners.
        payers: the sha256 of each learner's program; learners of one are neighbours.
        seats: the learners.
        shape: of a learner's rollout.
        device: where all of it happens.
        seed: of the states that episodes start in.
        room: for contacts, at first.

    Attributes:
        stack: the learners.
        worlds: what they act in.
        failures: why a learner goes on no more, by its number.
        n_repeated: rollouts that were void.
        seconds: wall time by activity.

    Raises:
        DataError: the card or a field cannot be had there.
    """

    def __init__(
        self,
        card: EnvCard,
        programs: Mapping[str, ProgramRunner],
        payers: Sequence[str],
        seats: Sequence[Seat],
        shape: Shape,
        device: str,
        seed: int,
        room: Room | None = None,
    ) -> None:
        self.card, self.shape, self.device = card, shape, torch.device(device)
        self._k, self._n = len(seats), len(seats) * shape.n_worlds
        self._rows = make_rows(payers, shape.n_worlds)
        self._programs = [programs[row.program] for row in self._rows]
        read = {name for program in self._programs for name in program.fields}
        fields = sorted(read - {"observation"})
        self.worlds = Worlds(card, self._n, seed, device, fields, room)
        needed = [*fields, "observation"]
        self._read_fields = FieldRunner(trace_fields(card, needed), self._n, self.device)
        self.stack = Stack(card, seats, shape.n_worlds, shape.n_steps, self.device)
        self.failures: dict[int, TrainingFailure | ContractError] = {}
        self.n_repeated = 0
        self._n_terms = max(len(program.terms) for program in self._programs)
        self._collected = make_rollout(self._k, shape.n_steps, shape.n_worlds, card, self.device)
        self._terms = torch.zeros((shape.n_steps, self._n, self._n_terms), device=self.device)
        self._reward_range = np.zeros((self._k, 2))
        self._clock = Stopwatch(self.device)
        self._states = self._begin()

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by activity."""
        return dict(self._clock.seconds)

    def _begin(self) -> WorldStates:
        state = {name: values.clone() for name, values in self._read().items() if name != OUTSIDE}
        n, width = self._n, self._n_terms
        return WorldStates(
            state=state,
            lengths=torch.zeros(n, dtype=torch.int32, device=self.device),
            memories=tuple(self._init(number, state) for number in range(len(self._rows))),
            running=torch.zeros((n, width + 2), device=self.device),
            ended=torch.zeros((n, width + 3), device=self.device),
        )

    def _init(self, number: int, state: Tensors) -> Tensors:
        """Return the memory of a program's episodes that begin now."""
        rows = self._rows[number].worlds
        return self._programs[number].init({name: v[rows] for name, v in state.items()})

    def _read(self) -> dict[str, Tensor]:
        """Return the fields of the worlds as they are; they may be live."""
        inputs = self._read_fields.inputs
        return self._read_fields({name: self.worlds.read(name) for name in inputs})

    # --- a rollout ------------------------------------------------------------------------------

    def learn(self, is_running: Sequence[bool]) -> list[Stretch | None]:
        """Collect a rollout and update the learners that are running; return what each was paid.

        None stands for a learner that is not running, or has failed now: see ``failures``.

        Raises:
            EnvironmentFailure: contacts need more room than there may be.
        """
        stretches = self.collect()
        alive = [
            running and k not in self.failures and self._check(k, stretches[k])
            for k, running in enumerate(is_running)
        ]
        self._clock.mark("update")
        self.stack.learn(self._collected, alive)
        still = self.stack.is_alive.tolist()
        self._clock.mark("other")
        self._clock.read()
        for k in range(self._k):
            if alive[k] and not still[k]:
                self.failures[k] = TrainingFailure(
                    "an observation was not finite, or the policy's weights blew up"
                )
        return [s if ok else None for s, ok in zip(stretches, still, strict=True)]

    def collect(self) -> list[Stretch]:
        """Fill the rollout, again with more room where there was too little."""
        self._clock.mark("policy")
        noise, begun, saved = self.stack.draw_noise(), self._states, self.worlds.save()
        while True:
            self.worlds.forgive()
            self._run(noise, begun)
            if not self.worlds.is_overflown():
                return self._summarise()
            self.n_repeated += 1
            self.worlds.grow()
            self.worlds.restore(saved)

    def _run(self, noise: Tensor, begun: WorldStates) -> None:
        moment = replace(begun, ended=torch.zeros_like(begun.ended))
        for step in range(self.shape.n_steps):
            moment = self._step(step, moment, noise[:, step])
        self._collected.last.copy_(self._shape(moment.state["observation"]))
        self._states = moment

    def _shape(self, values: Tensor) -> Tensor:
        """Return (N, …) by learner, (K, M, …)."""
        return values.unflatten(0, (self._k, self.shape.n_worlds))

    def _step(self, step: int, now: WorldStates, noise: Tensor) -> WorldStates:
        """Take a control step of all worlds, note it, and begin new episodes where some ended."""
        kept, seen = self._collected, self._shape(now.state["observation"])
        self._clock.mark("policy")
        chosen = self.stack.act(seen, noise)
        kept.observations[:, step], kept.actions[:, step] = seen, chosen
        action = chosen.clamp(*self.card.action_range).flatten(0, 1)
        self._clock.mark("physics")
        self.worlds.advance(action)
        self._clock.mark("state")
        broken = self.worlds.has_diverged
        read = self._read()
        terminated = read.pop(OUTSIDE) | broken
        # What broke stays where it was: what it is now is no state to be paid for.
        after = {name: choose(broken, now.state[name], values) for name, values in read.items()}
        lengths = now.lengths + 1
        done = terminated | (lengths >= self.card.max_episode_steps)
        kept.nexts[:, step] = self._shape(after["observation"])
        kept.done[:, step] = self._shape(done)
        kept.is_time_out[:, step] = self._shape(done & ~terminated)
        self._clock.mark("reward")
        memories = self._pay(step, now, action, after, terminated)
        running, ended = self._add_up(step, now, done)
        self._clock.mark("state")
        self.worlds.reset(done)
        fresh = self._read()
        state = {name: choose(done, fresh[name], values) for name, values in after.items()}
        self._clock.mark("reward")
        memories = tuple(
            self._restart(number, memory, state, done) for number, memory in enumerate(memories)
        )
        return WorldStates(state, torch.where(done, 0, lengths), memories, running, ended)

    def _pay(
        self, step: int, now: WorldStates, action: Tensor, after: Tensors, terminated: Tensor
    ) -> tuple[Tensors, ...]:
        """Note what each program pays; return what it remembers."""
        memories = []
        rewards = torch.empty(self._n, device=self.device)
        for row, program, memory in zip(self._rows, self._programs, now.memories, strict=True):
            part = row.worlds
            states = [{name: v[part] for name, v in s.items()} for s in (now.state, after)]
            paid = program.reward(states[0], action[part], states[1], terminated[part], memory)
            rewards[part] = paid.reward
            self._terms[step, part, : len(program.terms)] = paid.terms
            memories.append(paid.memory)
        self._collected.rewards[:, step] = self._shape(rewards)
        return tuple(memories)

    def _add_up(self, step: int, now: WorldStates, done: Tensor) -> tuple[Tensor, Tensor]:
        """Return what episodes under way have paid, and those that have ended."""
        reward = self._collected.rewards[:, step].reshape(-1, 1)
        values = torch.cat([self._terms[step], reward, torch.ones_like(reward)], dim=1)
        running = now.running + values
        over = torch.cat([running, torch.ones_like(reward)], dim=1)
        return choose(~done, running, 0.0), now.ended + choose(done, over, 0.0)

    def _restart(self, number: int, memory: Tensors, state: Tensors, done: Tensor) -> Tensors:
        if not memory:
            return memory
        fresh = self._init(number, state)
        done = done[self._rows[number].worlds]
        return {name: choose(done, fresh[name], values) for name, values in memory.items()}

    # --- what the host sees ---------------------------------------------------------------------

    def _summarise(self) -> list[Stretch]:
        """Return what each learner was paid in the rollout: one copy from the device."""
        terms = self._terms.unflatten(1, (self._k, -1))
        rewards = self._collected.rewards.flatten(1)
        parts = [
            terms.amin(dim=(0, 2)), terms.sum(dim=(0, 2)), terms.amax(dim=(0, 2)),
            self._states.ended.unflatten(0, (self._k, -1)).sum(dim=1),
            rewards.amin(dim=1)[:, None], rewards.amax(dim=1)[:, None],
        ]  # fmt: skip
        numbers = torch.cat(parts, dim=1).double().cpu().numpy()
        self._reward_range = numbers[:, -2:]
        return [
            self._describe(self._programs[number].terms, numbers[k])
            for number, row in enumerate(self._rows)
            for k in range(row.learners.start, row.learners.stop)
        ]

    def _describe(self, names: tuple[str, ...], numbers: np.ndarray[Any, Any]) -> Stretch:
        width = self._n_terms
        minimum, total, maximum, ended = np.split(numbers[:-2], [width, 2 * width, 3 * width])
        n = len(names)
        return Stretch(
            names=names,
            n_steps=self.shape.n_steps * self.shape.n_worlds,
            minimum=minimum[:n],
            total=total[:n] + 0.0,
            maximum=maximum[:n],
            n_episodes=round(ended[-1]),
            episode_pay=ended[:n] + 0.0,
            episode_return=float(ended[-3]),
            episode_steps=round(ended[-2]),
        )

    def _check(self, k: int, stretch: Stretch) -> bool:
        """Return whether what a learner was paid keeps the contract; else note why not."""
        try:
            for name, low, high in zip(
                stretch.names, stretch.minimum, stretch.maximum, strict=True
            ):
                check_term(name, np.array([low, high]), 2)
            check_reward(self._reward_range[k].copy(), 2)
        except ContractError as error:
            self.failures[k] = error
        return k not in self.failures


def choose(mask: Tensor, values: Tensor, others: Tensor | float) -> Tensor:
    """Return the rows of ``values`` (N, …) where ``mask`` (N,) says so, else of the others."""
    return torch.where(mask.view(-1, *[1] * (values.ndim - 1)), values, others)
