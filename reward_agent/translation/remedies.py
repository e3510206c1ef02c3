"""What to write instead, in words that can be followed without the manual."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import find_alike_name
from reward_agent.translation import nodes
from reward_agent.translation.values import Fault, Untranslatable

if TYPE_CHECKING:
    from reward_agent.translation.inputs import Inputs

# What people call a measurement -> the roles that fields of a card play.
_WORDS = {
    **dict.fromkeys(("velocity", "speed", "vel"), ("forward_velocity", "velocity", "com_velocity")),
    "position": ("forward_position", "position", "com_position"),
    "pos": ("position", "forward_position", "com_position"),
    "height": ("height", "com_height"),
    "euler": ("pitch", "orientation", "up"),
    "orientation": ("orientation", "pitch", "up"),
    **dict.fromkeys(("gravity", "upright"), ("up",)),
    "quat": ("orientation", "up"),
    **dict.fromkeys(("contact", "cfrc"), ("foot_contact", "body_contact")),
    **dict.fromkeys(("force", "forces"), ("foot_contact",)),
    "feet": ("foot_contact", "foot_height"),
    **dict.fromkeys(("dof", "joint"), ("joint_angles", "joint_velocities")),
    "goal": ("target",),
}
_CONSTANT_SPEED = (
    "commands are drawn by its base class: write the speed that you want as a constant, "
    "TARGET_SPEED = 1.0"
)
# What no field of a card can be, by legged_gym's and Isaac's names.
_NO_FIELDS = {
    "commands": _CONSTANT_SPEED,
    "command_manager": _CONSTANT_SPEED,
    "last_actions": "keep it in memory: self.last_actions = np.zeros(N_ACTIONS) in __init__, and "
    "self.last_actions = actions at the end of the step",
    "torques": "read action, which is what drives the joints: np.sum(action ** 2, axis=-1)",
    "applied_torque": "read action, which is what drives the joints",
    "last_dof_vel": "read state.joint_velocities, which are those before the step",
    "projected_gravity": "read next_state.torso_up: the squares of its first two numbers add up "
    "to 1 - torso_up ** 2",
    "obs_buf": "its order is that of Isaac's own observation: write the fields, "
    "next_state.torso_height for obs_buf[:, 0]",
    "feet_air_time": "count it in memory: self.air_time = 0.0 in __init__, + self.dt while a foot "
    "has no contact",
}
_MOST = 4


def find_near(card: EnvCard, name: str) -> list[str]:
    """Return the fields that a name may mean: by its words, then by their roles."""
    words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    words -= {"get", "self", "base", "robot", "info", "data", "the"}
    roles = [role for word in sorted(words) for role in _WORDS.get(word, ())]
    by_role = [item.name for role in roles for item in card.list_roles(role)[:2]]
    names = [item.name for item in card.state]
    by_word = sorted(
        (item for item in names if words & set(item.split("_"))),
        key=lambda item: -len(words & set(item.split("_"))),
    )
    best = [item for item in by_word if len(words & set(item.split("_"))) > 1]
    return list(dict.fromkeys([*best, *by_role, *by_word]))[:_MOST]


def is_measured(card: EnvCard, name: str) -> bool:
    """Whether a name may mean something that is measured, by its words."""
    return name in _NO_FIELDS or bool(find_near(card, name))


def suggest(card: EnvCard, name: str) -> str:
    """Return what to read instead of a name that is no field."""
    if name in _NO_FIELDS:
        return _NO_FIELDS[name]
    near = find_near(card, name)
    if near:
        return f"read a field of the card, such as next_state.{', next_state.'.join(near)}"
    names = [item.name for item in card.state]
    listed = ", ".join(names[:12])
    meant = find_alike_name(name, names)
    hint = f"; did you mean {meant!r}?" if meant else ""
    return f"read a field of the card{hint}: {listed}"


def refuse_number(card: EnvCard, name: str, number: int) -> Untranslatable:
    """Return why a number of the simulation cannot be read, with the line that can."""
    near = card.find_role("position") if name == "qpos" and number < 3 else None
    what = f"{name}[{number}] is no field of the card"
    if near is None or not near.source.endswith(".xpos"):
        return Untranslatable(what, suggest(card, "position" if name == "qpos" else "velocity"))
    step = card.control_dt / card.model.frame_skip
    body = near.source.removeprefix("body:").removesuffix(".xpos")
    return Untranslatable(
        f"{what}: {near.name}[{number}] is what MuJoCo derived of it up to {step:g} s before",
        f"write data.body({body!r}).xpos[{number}]: next_state.{near.name}[:, {number}], by which "
        "Gymnasium's own reward goes, too",
    )


def refuse_inner(card: EnvCard) -> Untranslatable:
    """Return why the environment's own reward cannot be read, with how to write it out."""
    named = ", ".join(f"next_state.{item}" for item in find_near(card, "position velocity"))
    return Untranslatable(
        f"the reward that {card.gymnasium_id or card.name} itself pays is no field of the card",
        f"write it out: the speed from {named}, 1 while healthy, np.sum(action ** 2, axis=-1)",
    )


# What a library's name stands for, by its root -> what to write instead.
_BY_ROOT = {
    "pandas": "write it with NumPy: a table is an array, np.reshape(x, (ROWS, COLUMNS)), its sums, "
    "means and spreads np.sum(x, axis=-1), np.mean(x, axis=-1), np.std(x, axis=-1)",
    "random": "leave chance out: a step must pay the same when it is paid again",
    "time": "a step pays by its fields alone: count steps in memory, self.t += 1",
    "datetime": "a step pays by its fields alone: count steps in memory, self.t += 1",
    "scipy": "write what it computes with NumPy: np.cos, np.sin, np.sum",
    "isaaclab": "its code is in isaaclab: write the function into the file, def NAME(env): …, with "
    "the card's fields, and multiply it by its weight",
    "json": "write the numbers that the file holds into this one",
    "yaml": "write the numbers that the file holds into this one",
    "os": "write the numbers that it reads into the file",
    "argparse": "write the numbers that it reads into the file",
    "hydra": "write the numbers that it reads into the file",
    "open": "write the numbers that the file holds into this one",
    "gymnasium": "leave the environment out: the reward reads obs, action, next_obs and info",
    "gym": "leave the environment out: the reward reads obs, action, next_obs and info",
}
_ALIASES = {"numpy.random": "random", "torch.rand": "random", "jax.random": "random"}
_OUTSIDE = ("eval", "exec", "compile", "__import__", "input", "open", "locals", "breakpoint")


# Terms of Isaac Lab's that read what no card has -> a function that does without.
_TERMS = {
    "track_lin_vel_xy_exp": "def track_lin_vel_xy_exp(env, std, speed=1.0, **_): return torch.exp("
    '-torch.square(env.scene["robot"].data.root_lin_vel_b[:, 0] - speed) / std**2)',
    "track_ang_vel_z_exp": "def track_ang_vel_z_exp(env, std, rate=0.0, **_): return torch.exp("
    '-torch.square(env.scene["robot"].data.root_ang_vel_b[:, 2] - rate) / std**2)',
    "joint_torques_l2": "def joint_torques_l2(env, **_): return torch.sum(torch.square("
    "env.actions), dim=1)",
}


def replace_word(path: str) -> str:
    """Return what to write instead of a library's name."""
    near = next((root for start, root in _ALIASES.items() if path.startswith(start)), None)
    root = near or path.split(".")[0]
    if "mdp" in path.split("."):
        root = "isaaclab"
    if path.split(".")[-1] in _TERMS:
        return f"its code is in isaaclab: write it into the file, {_TERMS[path.split('.')[-1]]}"
    name = path.split(".")[-1]
    known = _BY_ROOT.get(root, "write what NAME computes, with NumPy: np.…")
    return known.replace("NAME", name)


def replace_name(name: str) -> str:
    """Return what to do about a name that has no value."""
    if name in _OUTSIDE:
        return _BY_ROOT.get(name, f"leave {name} out: a reward computes, and reaches nothing else")
    return f"define {name} in the file, or write the number itself"


def explain_fault(fault: Fault | None, value: float, step: int, steps: str) -> Untranslatable:
    """Return why a reward that is no number is not taken."""
    what = ast.unparse(fault.node) if fault else "the reward"
    remedy = f"guard it with np.where, so that {what} is a number"
    node = fault.node if fault else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        remedy = f"guard the divisor: np.maximum({ast.unparse(node.right)}, 1e-6)"
    elif isinstance(node, ast.Call) and node.args:
        remedy = f"guard what it is given: np.maximum({ast.unparse(node.args[0])}, 1e-6)"
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        remedy = f"guard the base: np.maximum({ast.unparse(node.left)}, 0.0)"
    return Untranslatable(
        f"{what} is {value} in step {step + 1} of: {steps}", remedy, fault.line if fault else None
    )


# --- what more there is to say of a line ----------------------------------------------------------


def complete(error: Untranslatable, tree: ast.Module, inputs: Inputs) -> Untranslatable:
    """Return an error with what else of the same object has no place on the card."""
    owner = re.match(r"(self|env)\.\w+ is no field", error.message)
    if owner is None or error.line is None:
        return error
    missing: dict[str, str] = {}
    for node in _find_around(tree, error.line):
        chain = _find_chain(node, owner[1])
        if chain and chain not in missing and not _is_defined(tree, chain):
            remedy = _replace_chain(inputs, chain)
            if remedy:
                missing[chain] = remedy
    if not missing:
        return error
    names = ", ".join(f"{owner[1]}.{chain}" for chain in missing)
    return Untranslatable(
        f"{names}: no field of the card",
        "; ".join(f"{owner[1]}.{chain}: {remedy}" for chain, remedy in missing.items()),
        error.line,
    )


def _find_around(tree: ast.Module, line: int) -> list[ast.AST]:
    """Return the nodes of the class or function that a line is in."""
    for item in tree.body:
        if item.lineno <= line <= (item.end_lineno or item.lineno):
            return list(ast.walk(item))
    return list(ast.walk(tree))


def _find_chain(node: ast.AST, owner: str) -> str:
    """Return ``robot.torso.velocity[0]`` of ``self.robot.torso.velocity[0]``; '' of another."""
    if not isinstance(node, ast.Attribute | ast.Subscript) or not isinstance(node.ctx, ast.Load):
        return ""
    text = ast.unparse(node)
    found = re.fullmatch(rf"{owner}\.(\w+(?:\.\w+|\[-?\d+\])*)", text)
    return found[1] if found else ""


def _is_defined(tree: ast.Module, chain: str) -> bool:
    """Whether the file, or the base class of a table of terms, says what an attribute is."""
    name = re.split(r"[.\[]", chain)[0]
    if re.search("scales|_buf|_sums|functions|names", name):
        return True
    in_class = (s for item in tree.body if isinstance(item, ast.ClassDef) for s in item.body)
    if any(name in nodes.list_bound(statement) for statement in in_class):
        return True
    stored = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute | ast.FunctionDef))
    return any(
        item.name == name
        if isinstance(item, ast.FunctionDef)
        else item.attr == name and isinstance(item.ctx, ast.Store)
        for item in stored
    )


def _replace_chain(inputs: Inputs, chain: str) -> str:
    """Return what to write for an attribute of an environment; '' where it is known, or a part."""
    name = re.split(r"[.\[]", chain)[0]
    if name in _NO_FIELDS:
        return _NO_FIELDS[name] if chain == name else ""
    try:
        inputs.get_own(name)
    except Untranslatable:
        pass
    else:
        if name not in ("robot", "task", "env") or "." not in chain:
            return ""
    for pattern, role in _CHAINS:
        if re.search(pattern, chain):
            found = inputs.card.find_role(role)
            return f"next_state.{found.name}" if found else ""
    if chain == name and name not in ("robot", "task", "env"):
        near = find_near(inputs.card, name)
        known = f", such as next_state.{near[0]}" if near else ""
        return f"define it in the file, {name} = 1.0, or read a field{known}"
    return ""


# Simulators' ways to a number of a body -> the role of the field that it is.
_CHAINS = (
    (r"angular_vel\w*\[1\]$", "pitch_rate"),
    (r"(?<!angular_)(?:linear_vel\w*|lin_vel\w*|velocity)\[0\]$", "forward_velocity"),
    (r"(?<!angular_)(?:linear_vel\w*|lin_vel\w*|velocity)\[2\]$", "vertical_velocity"),
    (r"(?:euler\w*|rpy|orientation)\[1\]$", "pitch"),
    (r"(?:position|pos)\[2\]$", "height"),
    (r"(?:position|pos)\[0\]$", "forward_position"),
)
