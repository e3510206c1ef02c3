"""What a drafted card and its tasks say, before anything is measured or written."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from reward_agent.definitions.meaning import NOTHING_SAID, TriedMeaning
from reward_agent.drafts.actions import Actions, choose_actions
from reward_agent.drafts.adopt import adopt_handling, adopt_robot, list_meant_fields
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.fields import list_fields
from reward_agent.drafts.pose import choose_pose
from reward_agent.drafts.roles import Facts, Robot, find_robot
from reward_agent.drafts.tools import Handling, Workspace, find_handling, find_workspace
from reward_agent.drafts.tree import find_tree
from reward_agent.records.draft import DraftOptions

_CONTROL_S = 0.02
_QUICK_S, _LEAST_STEPS, _MOST_STEPS = 40.0, 20_000, 200_000
_LEARNING_US = 100.0  # of a control step: policy, reward and their share of an update


@dataclass(frozen=True)
class DraftPlan:
    """All that a card says, before its ranges are measured."""

    facts: Facts
    robot: Robot
    handling: Handling
    actions: Actions
    frame_skip: int
    control_dt: float
    episode_s: float
    workspace: Workspace | None
    fields: tuple[DraftField, ...]
    meant: TriedMeaning = NOTHING_SAID

    @property
    def max_episode_steps(self) -> int:
        """Control steps of an episode."""
        return max(1, round(self.episode_s / self.control_dt))

    @property
    def reaches_object(self) -> bool:
        """Whether the tool comes near the object, as far as moving its joints tells."""
        space = self.workspace
        return space is None or space.object_gap < 0.3 * space.reach + 0.15 * self.facts.size

    def has(self, name: str) -> bool:
        """Return whether the card has a field of that name."""
        return any(field.name == name for field in self.fields)


def make_plan(model: mujoco.MjModel, options: DraftOptions) -> DraftPlan:
    """Find roles, start pose, actions and fields of a model."""
    tree = find_tree(model)
    meant = options.meaning or NOTHING_SAID
    start = next((held.value for held in meant.list_held("start")), options.home)
    facts = Facts(model, tree, choose_pose(model, tree, start))
    robot = adopt_robot(facts, find_robot(facts), meant)
    handling = adopt_handling(facts, find_handling(facts, robot), meant)
    frame_skip = max(1, round(_CONTROL_S / model.opt.timestep))
    control_dt = float(f"{frame_skip * model.opt.timestep:.10g}")
    actions = choose_actions(facts, handling, control_dt)
    workspace = None
    if handling.tool is not None and tree.base == "fixed":
        workspace = find_workspace(facts, handling, actions.travel)
    elif (handling.tool is not None and handling.tool.name == "torso") or tree.is_fluid:
        workspace = _surround(facts)
    elif handling.tool is not None:
        workspace = find_workspace(facts, handling, actions.travel)
    fields = list_fields(facts, robot, handling)
    fields += list(list_meant_fields(facts, meant, fields))
    if workspace is None and handling.target is None:
        fields = [field for field in fields if "draw:target" not in field.source]
    is_arm = tree.base == "fixed" and handling.tool is not None
    return DraftPlan(
        facts=facts,
        robot=robot,
        handling=handling,
        actions=actions,
        frame_skip=frame_skip,
        control_dt=control_dt,
        episode_s=(8.0 if handling.objects or handling.fixtures else 5.0) if is_arm else 10.0,
        workspace=workspace,
        fields=tuple(fields),
        meant=meant,
    )


def _surround(facts: Facts) -> Workspace:
    """Return places around a robot that goes there by itself."""
    x, y, z = (float(f"{value:.3g}") for value in facts.data.xpos[facts.tree.root])
    size = float(f"{2 * facts.size:.2g}")
    if facts.tree.is_fluid:
        return Workspace("box", (x, y, z), (size, size, float(f"{min(size, 0.5 * z) or 0.0:.2g}")))
    return Workspace("annulus", (x, y, z), float(f"{3 * facts.size:.2g}"), size)


def estimate_speed(plan: DraftPlan) -> float:
    """Return control steps/s of one core, roughly: by what a step of this model has to solve.

    It is counted, not timed, so that the same model makes the same card. Fitted to 22 models: it
    is within a factor of two of most.
    """
    model, held = plan.facts.model, plan.facts.pose.held
    n_rows, n_contacts = (held.n_rows, held.n_contacts) if held else (0.0, 0.0)
    micro_s = 4.0 + 0.6 * model.nv + 0.6 * n_rows + 2.0 * n_contacts + 3.0 * model.ntendon
    micro_s += 40.0 * int(np.sum(model.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD)))
    stages = 2.0 if model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_RK4) else 1.0
    return float(1e6 / (stages * micro_s * plan.frame_skip + _LEARNING_US))


def choose_budget(plan: DraftPlan) -> dict[str, int]:
    """Return env steps by preset: quick is what a core does in 40 s."""
    steps = _QUICK_S * estimate_speed(plan)
    quick = int(float(f"{min(max(steps, _LEAST_STEPS), _MOST_STEPS):.1g}"))
    return {"quick": quick, "standard": 5 * quick, "thorough": 20 * quick}
