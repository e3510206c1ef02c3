"""Who simulates a card: one row a back end, with what must be known of it before it is imported.

A new back end is a file with its factory and a row here, or an entry point of the group
``reward_agent.backends`` that names a ``Backend``. ``[model] backend = "NAME"`` of a card chooses
it. What it measures, and how, is in its own file; nobody else asks which one it is.
"""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import Array, find_indexed, find_leaves, parse_source
from reward_agent.definitions.start import ResetNoise
from reward_agent.errors import DataError, UsageError
from reward_agent.plugins import Plugin, Seam
from reward_agent.records.drafting_jobs import CheckEnvResult
from reward_agent.types import Finding

if TYPE_CHECKING:  # who asks which OpenGL draws waits for no NumPy
    import numpy as np
    from numpy.typing import NDArray

    from reward_agent.simulation.simulation import Simulation
    from reward_agent.simulation.state import FloatArray

Frame: TypeAlias = "NDArray[np.uint8]"
# Names the Python in which a person's environments run: of this person, never of a card.
PYTHON_VARIABLE = "REWARD_AGENT_PYTHON"
# On Linux a window system is rarely there; elsewhere MuJoCo's own choice draws without one.
_OPENGL = {"linux": ("egl", "osmesa"), "darwin": ("cgl",)}
_OTHERWISE = ("glfw",)
# With these MuJoCo has no OpenGL.
_NONE = ("disable", "disabled", "off", "false", "0")
_TRY_S = 30.0


@dataclass(frozen=True)
class Footage:
    """An episode to be drawn.

    Args:
        pose: ``(T, n)``, of the simulation; ``(T, 0)`` where an episode is played again.
        caption: what it is, for a person; one line or more.
        verdict: what the metric says of the whole episode.
        moments: state index to what happens there, for the strip.
        action: ``(T - 1, n_actions)``.
        seed: of its simulation, of which it is the first episode.
        name: which it is of those that were scored: median, best, ….
    """

    pose: FloatArray
    caption: str
    verdict: str
    moments: dict[int, str]
    action: FloatArray | None = None
    seed: int = 0
    name: str = ""


class Artist(Protocol):
    """Draws a card's episodes in one size, made with (card, width, height); see ``Backend``.

    One whose camera moves may have ``locate(footage, steps) -> list[str]``, which says where it is
    in each of the steps; nothing if it stays.
    """

    most_frames_per_s: int

    def draw(self, footage: Footage, steps: Sequence[float]) -> Iterable[Frame]:
        """Yield a picture ``(height, width, 3)`` of each of the steps, which rise.

        A step may lie between two states: what is there is drawn, or the state before.
        """

    def close(self) -> None:
        """Free what it draws with."""


class HostedProcess(Protocol):
    """A process of another Python in which environments run."""

    @property
    def pid(self) -> int:
        """Its number."""

    def seal(self, program: bytes, call: int) -> None:
        """Put it under a filter of system calls, which the call of that number installs.

        Raises:
            DataError: it cannot be sealed.
        """


@dataclass(frozen=True, kw_only=True)
class Backend(Plugin):
    """What simulates cards: its factory makes a ``Simulation`` of (card, n_sims, seed, fields=…).

    Args:
        label: what a person calls it; by default its name.
        prepare: ``module:function`` of a card: does what no sealed process could, such as to
            start another or to import what starts one.
        most_simulations: how many it is worth to have at a time; None: any number.
        is_inherited: whether a forked process can go on with simulations; those with threads
            of their own are lost.
        is_shared_layout: whether cards have entries that stay constant, as one layout for many
            tasks has.
        takes_choices: whether actions of a card may be choices.
        hosts: ``module`` that runs environments in another Python, which a person names, as
            ``gymnasium_process`` does; '' where they run in this one alone.
        is_gymnasium: whether fields are what a Gymnasium environment returns, by its names: an
            exported reward then wraps that environment.
        is_mujoco: whether fields and starts are MuJoCo's, of a model: an exported reward can then
            read fields from Gymnasium's own environment, and ``[draws]`` and the like are drawn.
        comparison: ``module:function`` that compares a card with what is simulated, beyond what
            any simulation shows: takes a simulation, returns ``CheckEnvResult``.
        trials: ``module:function`` that tries a card in no more than a second: takes the card,
            returns its findings.
        artist: ``module:function`` that makes an ``Artist``; '' where there are no films.
        trial: program that draws a small picture, as the artist does: tried with ``MUJOCO_GL``.
        opengl: values of ``MUJOCO_GL`` to try; none: what MuJoCo has on this system.
        graphics: what to install where the trial fails.
    """

    label: str = ""
    prepare: str = ""
    most_simulations: int | None = None
    is_inherited: bool = True
    is_shared_layout: bool = False
    takes_choices: bool = False
    hosts: str = ""
    is_gymnasium: bool = False
    is_mujoco: bool = False
    comparison: str = ""
    trials: str = ""
    artist: str = ""
    trial: str = ""
    opengl: tuple[str, ...] = ()
    graphics: str = ""


# What rendering does later, in small: a driver may load and still crash at its first frame.
MUJOCO = Backend(
    name="mujoco",
    label="MuJoCo",
    factory="reward_agent.simulation.mujoco_batch:BatchSimulation",
    is_mujoco=True,
    comparison="reward_agent.simulation.mujoco_check:compare_with_model",
    trials="reward_agent.simulation.mujoco_trials:try_card",
    artist="reward_agent.simulation.mujoco_film:MujocoArtist",
    trial="""
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(data)
if not renderer.render().any():
    raise SystemExit("the picture is black")
""",
    graphics="to get videos, install a software renderer: apt-get install libegl1 libgl1-mesa-dri "
    "(EGL) or libosmesa6 (OSMesa)",
)
ENVPOOL = Backend(
    name="envpool",
    label="EnvPool",
    factory="reward_agent.simulation.envpool:PoolSimulation",
    package="envpool",
    extra="metaworld",
    remedy="pip install 'reward-agent[metaworld]' (Linux)",
    prepare="reward_agent.simulation.envpool:import_envpool",
    # One takes some 20 MiB and a twentieth of a second to make.
    most_simulations=32,
    is_inherited=False,
    is_shared_layout=True,
    takes_choices=True,
    comparison="reward_agent.simulation.twins:compare_with_twin",
    artist="reward_agent.simulation.envpool:PoolArtist",
    # A confined process may not search the folders that lead to this package: no import of it.
    trial="""
import ctypes, envpool, pathlib
for path in sorted((pathlib.Path(envpool.__file__).parents[1] / "envpool.libs").glob("libEGL*")):
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
size = {"render_width": 32, "render_height": 24}
pool = envpool.make_gymnasium("MetaWorld/Reach-v3", num_envs=1, render_mode="rgb_array", **size)
pool.reset()
if not pool.render().any():
    raise SystemExit("the picture is black")
""",
    opengl=("egl",),
    graphics="EnvPool draws by EGL alone: apt-get install libegl1 libgl1-mesa-dri",
)
GYMNASIUM = Backend(
    name="gymnasium",
    label="Gymnasium",
    factory="reward_agent.simulation.gymnasium_batch:GymnasiumSimulation",
    # Each is stepped by itself, and may take half a second to make.
    most_simulations=8,
    is_inherited=False,
    takes_choices=True,
    is_gymnasium=True,
    hosts="reward_agent.simulation.gymnasium_process",
    prepare="reward_agent.simulation.gymnasium_process:prepare_environments",
    comparison="reward_agent.simulation.gymnasium_batch:compare_with_environment",
    artist="reward_agent.simulation.gymnasium_batch:GymnasiumArtist",
    # Whether an environment can draw itself is seen when it does.
    trial="",
)
CRAFTER = replace(
    GYMNASIUM,
    name="crafter",
    label="Crafter",
    package="crafter",
    extra="crafter",
    # What a tree, a cave, a diamond gives is rarely met by chance.
    is_shared_layout=True,
    hosts="",
)
BACKENDS = Seam("back end", "reward_agent.backends", Backend, (MUJOCO, ENVPOOL, GYMNASIUM, CRAFTER))


def find_backend(card: EnvCard) -> Backend:
    """Return what simulates a card.

    Raises:
        UnknownNameError: the card names a back end that is not there.
        UsageError: a stranger's cannot be loaded.
    """
    return _find(card.model.backend)


@functools.cache
def _find(name: str) -> Backend:
    """Look once: to search the installed packages takes some milliseconds."""
    row = BACKENDS.find(name)
    return row if row.label else replace(row, label=name)


def make_simulation(
    card: EnvCard,
    n_sims: int,
    seed: int,
    fields: Collection[str] | None = None,
    is_randomised: bool = False,
) -> Simulation:
    """Return N simulations of a card, not yet reset; see ``Simulation``.

    The physics are the model's own, unless they are randomised as the card's ``[randomise]`` says.

    Raises:
        UsageError: what simulates it is not installed.
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: the card does not fit its model.
    """
    row = find_backend(card)
    _check_tables(card, row)
    if card.randomise is not None and not is_randomised:
        card = card.model_copy(update={"randomise": None})
    factory = resolve_name(row.factory)
    return cast("Simulation", factory(card, n_sims, seed, fields=fields))


def _check_tables(card: EnvCard, row: Backend) -> None:
    """Refuse what a card says of a model that a back end does not simulate."""
    said = [*card.additions, *(["[randomise]"] if card.randomise else [])]
    said += ["[reset]"] if card.reset != ResetNoise() and "[reset]" not in " ".join(said) else []
    if said and not row.is_mujoco:
        raise DataError(
            f"environment {card.name!r} is simulated by {row.label}, which does not know "
            f"{', '.join(said)} of its card",
            "take that out of the card",
        )
    if card.choices and not row.takes_choices:
        raise DataError(
            f"environment {card.name!r} is simulated by {row.label}, whose actions are numbers",
            "take choices out of the card",
        )


def make_artist(card: EnvCard, width: int, height: int) -> Artist:
    """Return who draws a card's episodes, in pixels.

    Import MuJoCo, and so call this, only after ``MUJOCO_GL`` is set.

    Raises:
        UsageError: nothing draws them.
        DataError: the card's model is missing or wrong.
    """
    row = find_backend(card)
    if not row.artist:
        raise UsageError(f"{row.label} draws no films", "watch the numbers, or turn films off")
    return cast("Artist", resolve_name(row.artist)(card, width, height))


def compare_card(simulation: Simulation) -> CheckEnvResult:
    """Return what a back end itself can tell of a card beside what it simulates."""
    row = find_backend(simulation.card)
    if not row.comparison:
        return CheckEnvResult()
    return cast("CheckEnvResult", resolve_name(row.comparison)(simulation))


def try_card(card: EnvCard) -> tuple[Finding, ...]:
    """Return what a back end finds quickly of a card that does not work or mean what it says.

    Raises:
        UsageError: what simulates it is not installed.
        DataError: the card does not fit its model.
    """
    row = find_backend(card)
    return cast("tuple[Finding, ...]", resolve_name(row.trials)(card)) if row.trials else ()


def find_infos(fields: Sequence[StateField]) -> dict[str, int]:
    """Return the paths into the info that fields read, with so many numbers; 0 is one alone."""
    sizes: dict[str, int] = {}
    for field in fields:
        source = parse_source(field.source)
        wholes = {str(leaf): 0 for leaf in find_leaves(source) if str(leaf).startswith("info/")}
        if isinstance(source, Array) and wholes:
            wholes[source.name] = field.size or 0
        for part in find_indexed(source):
            end = part.index.stop if isinstance(part.index, slice) else part.index + 1
            if str(part.source) in wholes and end:
                wholes[str(part.source)] = end
        sizes |= {name: max(size, sizes.get(name, 0)) for name, size in wholes.items()}
    return sizes


def require_backend(card: EnvCard) -> None:
    """See that what simulates a card is installed here, without importing it.

    Raises:
        UsageError: it is not; the message names the install command.
    """
    row = find_backend(card)
    if row.missing:
        raise UsageError(
            f"{card.name} is simulated by {row.label}, which is not installed", row.way_out
        )


def prepare_simulation(card: EnvCard) -> None:
    """Do what a card's back end could not in a sealed process.

    Raises:
        UsageError: what simulates the card cannot be used here.
    """
    row = find_backend(card)
    if row.prepare:
        resolve_name(row.prepare)(card)


def find_python(card: EnvCard) -> str:
    """Return the Python that a person wants a card's environments in; '' for this one."""
    return os.environ.get(PYTHON_VARIABLE, "") if find_backend(card).hosts else ""


def use_python(python: str | None) -> None:
    """Have environments that may run in another Python run there; None changes nothing.

    Children of this process find it in their environment, as if a person had named it there.

    Raises:
        UsageError: there is no such program.
    """
    if python is None:
        return
    path = os.path.abspath(os.path.expanduser(python))
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise UsageError(
            f"--python {python} is no program", "name a Python, such as .venv/bin/python"
        )
    os.environ[PYTHON_VARIABLE] = path


def list_code(card: EnvCard) -> tuple[Path, ...]:
    """Return the folders of the other Python and of its packages; none where there is no other.

    Raises:
        UsageError: it cannot be started.
    """
    python = find_python(card)
    if not python:
        return ()
    module = importlib.import_module(find_backend(card).hosts)
    return cast("tuple[Path, ...]", module.list_code_folders(python))


def list_hosts(card: EnvCard) -> Sequence[HostedProcess]:
    """Return the processes of another Python that were started for a card."""
    if not find_python(card):
        return ()
    module = importlib.import_module(find_backend(card).hosts)
    return cast("Sequence[HostedProcess]", module.hosts)


@dataclass(frozen=True)
class Graphics:
    """A value for ``MUJOCO_GL``; None if nothing draws, and a note says what to install."""

    backend: str | None
    note: str = ""


def find_graphics(row: Backend = MUJOCO) -> Graphics:
    """Try the OpenGLs that a back end may draw by in turn.

    Never crashes; takes some seconds, at most half a minute for each.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if chosen in _NONE and not row.opengl:
        return Graphics(None, f"MUJOCO_GL={chosen} draws nothing; unset it to get videos")
    backends = row.opengl or ((chosen,) if chosen else _OPENGL.get(sys.platform, _OTHERWISE))
    reasons = []
    for backend in backends:
        reason = _try_backend(backend, row.trial)
        if reason is None:
            return Graphics(backend)
        reasons.append(f"{backend}: {reason}")
    return Graphics(None, f"{'; '.join(reasons)}; {row.graphics}")


def _try_backend(backend: str, program: str) -> str | None:
    """Return why a program that draws does not with an OpenGL, or None."""
    command = [sys.executable, "-s", "-P", "-W", "ignore", "-c", program]
    environment = os.environ | {"MUJOCO_GL": backend}
    try:
        trial = subprocess.run(
            command, env=environment, capture_output=True, timeout=_TRY_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no frame within {_TRY_S:g} s"
    except OSError as error:
        return str(error)
    if trial.returncode < 0:
        return f"crashed with signal {-trial.returncode}"
    if trial.returncode:
        lines = trial.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1][:160] if lines else f"exit code {trial.returncode}"
    return None
