"""What simulates a card: MuJoCo's batch for an MJCF, EnvPool for one of its environments."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import UsageError
from reward_agent.simulation.state import FloatArray, State

INSTALL = "pip install 'reward-agent[metaworld]' (Linux)"

# One of EnvPool's takes some 20 MiB and a twentieth of a second to make.
_MOST_OF_ENVPOOL = 32


class Simulation(Protocol):
    """N simulations of a card side by side; see ``simulation.batch.BatchSimulation``."""

    card: EnvCard
    n_sims: int

    @property
    def observation(self) -> FloatArray: ...  # noqa: D102
    @property
    def qpos(self) -> FloatArray: ...  # noqa: D102
    def reset(self, ids: ArrayLike | None = None) -> None: ...  # noqa: D102
    def step(self, action: ArrayLike, ids: ArrayLike | None = None) -> None: ...  # noqa: D102
    def read_state(self) -> State: ...  # noqa: D102
    def find_terminated(self) -> NDArray[np.bool_]: ...  # noqa: D102
    def termination_reason(self, sim: int) -> str | None: ...  # noqa: D102


def make_simulation(
    card: EnvCard, n_sims: int, seed: int, fields: Collection[str] | None = None
) -> Simulation:
    """Return N simulations of a card, not yet reset.

    Args:
        card: the environment.
        n_sims: number of simulations N.
        seed: of simulation 0; simulation i has ``seed + i``.
        fields: names of the fields that ``read_state`` returns; None for all of the card.

    Raises:
        UsageError: what simulates it is not installed.
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: the card does not fit its model.
    """
    if card.model.envpool:
        from reward_agent.simulation.pool import PoolSimulation

        return PoolSimulation(card, n_sims, seed, fields=fields)
    from reward_agent.simulation.batch import BatchSimulation

    return BatchSimulation(card, n_sims, seed, fields=fields)


def find_most_simulations(card: EnvCard) -> int | None:
    """Return how many simulations of a card it is worth to have at a time; None: any number."""
    return _MOST_OF_ENVPOOL if card.model.envpool else None


def require_backend(card: EnvCard) -> None:
    """See that what simulates a card is installed here, without importing it.

    Raises:
        UsageError: it is not; the message names the install command.
    """
    if card.model.envpool and find_spec("envpool") is None:
        raise UsageError(f"{card.name} is simulated by EnvPool, which is not installed", INSTALL)


def prepare_simulation(card: EnvCard) -> None:
    """Import what a sealed process could not: EnvPool's libraries start processes to find theirs.

    Raises:
        UsageError: what simulates the card is not installed.
    """
    if card.model.envpool:
        from reward_agent.simulation.pool import import_envpool

        import_envpool()


def list_ids(ids: ArrayLike | None, n_sims: int) -> NDArray[np.int32]:
    """Return the numbers of the simulations that numbers, a mask ``(N,)`` or None (all) mean."""
    if ids is None:
        return np.arange(n_sims, dtype=np.int32)
    chosen = np.asarray(ids)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    return chosen.astype(np.int32)
