"""From ``--executor NAME`` to the executor; a package is imported when its place is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reward_agent.errors import UsageError
from reward_agent.executors import Place
from reward_agent.executors.device import DevicePlace
from reward_agent.executors.device_survey import choose_device
from reward_agent.executors.remote import ClusterOptions, Nodes, RemotePlace
from reward_agent.executors.slots import LocalPlace
from reward_agent.plugins import Plugin, Seam

if TYPE_CHECKING:
    from reward_agent.sandbox.isolation import SandboxMode


@dataclass(frozen=True)
class Whereabouts(Plugin):
    """Where trainings run; the factory of a cluster takes ``ClusterOptions``, returns ``Nodes``.

    Args:
        is_here: whether they run on this machine; the factory then makes a ``Place``, as
            ``LocalPlace`` does.
    """

    is_here: bool = False


EXECUTORS = Seam(
    "executor",
    "reward_agent.executors",
    Whereabouts,
    (
        Whereabouts(
            "local",
            "reward_agent.executors.slots:LocalPlace",
            "child processes of this machine",
            is_here=True,
        ),
        Whereabouts(
            "ray",
            "reward_agent.executors.ray:make_nodes",
            "the nodes of a Ray cluster",
            package="ray",
            remedy="pip install 'reward-agent[ray]', here and on every node",
        ),
        Whereabouts(
            "slurm",
            "reward_agent.executors.slurm:make_nodes",
            "the nodes of a Slurm cluster, over a disk in common",
            commands=("sbatch", "squeue", "scancel", "sinfo"),
            remedy="start the run on a login node of the cluster",
        ),
    ),
)


def make_places(
    name: str, options: ClusterOptions, mode: SandboxMode, *, is_warm: bool, device: str = "cpu"
) -> tuple[Place, Place]:
    """Return where trainings and evaluations run, and where short jobs and films do: here.

    Args:
        name: of the executor.
        options: what a user says of a cluster.
        mode: how strictly generated code is isolated.
        is_warm: whether many jobs are to come.
        device: what trains, as ``--device`` names it.

    Raises:
        UnknownNameError: there is no such executor.
        UsageError: what it needs is not installed, its cluster or the device cannot be used.
    """
    chosen = choose_device(device, options.tell)
    if EXECUTORS.find(name).is_here:
        place: Place = EXECUTORS.load(name)(options.slots, mode, is_warm=is_warm)
        if chosen is None:
            return place, place
        is_required = device != "auto"
        tell, folder = options.tell, options.folder
        return DevicePlace(place, chosen, tell, folder, is_required=is_required), place
    if chosen is not None:
        raise UsageError(
            f"--device {device} trains on this machine, --executor {name} elsewhere",
            "leave one of them out; --job-gpus reserves the GPUs of a cluster's nodes",
        )
    nodes: Nodes = EXECUTORS.load(name)(options)
    return RemotePlace(nodes, mode, options.tell), LocalPlace(1, mode, is_warm=is_warm)
