"""From ``--executor NAME`` to the executor; a package is imported when its place is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.executors import Place
from reward_agent.executors.local import LocalPlace
from reward_agent.executors.remote import ClusterOptions, Nodes, RemotePlace

if TYPE_CHECKING:
    from reward_agent.sandbox.level import SandboxMode

GROUP = "reward_agent.executors"
LOCAL = "local"
# Nodes of ours are loaded in the way of a stranger's: by the name of their factory, which takes
# ``ClusterOptions`` and returns ``Nodes``.
_OWN = {
    "ray": "reward_agent.executors.ray:make_nodes",
    "slurm": "reward_agent.executors.slurm:make_nodes",
}


def make_places(
    name: str, options: ClusterOptions, mode: SandboxMode, *, is_warm: bool
) -> tuple[Place, Place]:
    """Return where trainings and evaluations run, and where short jobs and films do: here.

    Raises:
        UnknownNameError: there is no such executor.
        UsageError: what it needs is not installed, or its cluster cannot be used.
    """
    if name == LOCAL:
        place = LocalPlace(options.slots, mode, is_warm=is_warm)
        return place, place
    nodes = _load_factory(name)(options)
    return RemotePlace(nodes, mode, options.tell), LocalPlace(1, mode, is_warm=is_warm)


def _load_factory(name: str) -> Callable[[ClusterOptions], Nodes]:
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    # A stranger cannot replace one of ours.
    found |= {own: EntryPoint(own, value, GROUP) for own, value in _OWN.items()}
    if name not in found:
        raise UnknownNameError("executor", name, [LOCAL, *found])
    try:
        factory: Callable[[ClusterOptions], Nodes] = found[name].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the executor {name!r} ({found[name].value}) cannot be loaded: {error}",
            "install what it needs, or remove its package",
        ) from error
    return factory
