"""The line that a remedy shows is right: it passes the rules, and pays what was written."""

import ast
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from support.rewards import make_card, make_state

from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import compile_program
from reward_agent.types import RewardProgram

N_SIMS = 23
HEAD = """
import math

import numpy as np


def bell(x, width):
    return math.exp(-((x / width) ** 2))


def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    height = next_state.torso_height
    place = next_state.com_position
    r = height * 0.1
"""


def write_program(lines):
    body = "".join(f"    {line}\n" for line in lines.strip("\n").split("\n"))
    tail = "" if "return" in lines.split("\n")[-1] else '    return r, {"r": r}\n'
    return HEAD + body + tail


def check(source):
    return check_program(RewardProgram(source), make_card()).findings


def apply_remedies(source):
    """Do what the findings say, until none of them shows a line; the source, and all remedies."""
    remedies = []
    for _ in range(12):
        shown = [f for f in check(source) if f.rule.startswith("arrays/")]
        if not shown:
            return source, remedies
        remedies.append(shown[0].remedy)
        source = apply_remedy(source, shown[0])
    raise AssertionError(f"no end of remedies:\n{source}\n{remedies}")


def apply_remedy(source, finding):
    written = re.findall(r"`([^`]*)`", finding.remedy.partition("write ")[2])
    assert written, finding
    gone = re.match(r"delete .*and in the last line ", finding.remedy)
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    around = [n for n in statements if n.lineno <= finding.line <= n.end_lineno]
    statement = max(around, key=lambda node: node.lineno)
    replaced = {statement: written}
    if gone:
        numbers = [int(number) for number in re.findall(r"\d+", gone[0])]
        replaced = {n: [] for n in statements if n.lineno in numbers}
        replaced[max(statements, key=lambda node: node.lineno)] = written
    lines = source.split("\n")
    for node in sorted(replaced, key=lambda node: -node.lineno):
        indent = " " * node.col_offset
        is_head = replaced[node] and replaced[node][0].endswith(":")
        end = node.body[0].lineno - 1 if is_head else node.end_lineno
        lines[node.lineno - 1 : end] = [indent + line for line in replaced[node]]
    return "\n".join(lines)


def pay_by_rows(source, state, action):
    """What the program pays as it was written: called for one simulation after the other."""
    names = {"np": np, "math": math}
    exec(source, names)
    paid = []
    for row in range(N_SIMS):
        one = SimpleNamespace(**{key: value[row] for key, value in state.fields.items()})
        paid.append(names["compute_reward"](one, action[row], one)[0])
    return np.array(paid, dtype=float)


def pay_at_once(source, state, action):
    reward = compile_program(source, make_card(), 0.99)
    reward.begin(state)
    return reward.step(state, action, state, np.zeros(N_SIMS, bool)).reward


CASES = {
    "if": ("if speed > 0.3:\n    r = 2.0", "r = np.where(speed > 0.3, 2.0, r)"),
    "if_else": (
        "if speed > 0.3:\n    r = speed\nelse:\n    r = -1.0",
        "r = np.where(speed > 0.3, speed, -1.0)",
    ),
    "elif": (
        "if height < 0.7:\n    r += 0.3\nelif speed < -0.2:\n    r -= 0.2",
        "r = np.where(height < 0.7, r + 0.3, np.where(speed < -0.2, r - 0.2, r))",
    ),
    "nested": (
        "if height < 1.2:\n    gap = 1.2 - height\n    r += 0.5 / (1 + gap)\n"
        "    if gap < 0.3:\n        r += 1.0",
        "np.where(height < 1.2, np.where(1.2 - height < 0.3",
    ),
    "several_names": (
        "bonus = 0.0\nif r > 0.1:\n    bonus = 1.0\n    r = r * 2\nr = r + bonus",
        "bonus = np.where(r > 0.1, 1.0, bonus)",
    ),
    "vector": (
        "arms = action[0:3]\nif speed > 0.3:\n    arms = action[3:6]\nr = np.sum(arms)",
        "np.where((speed > 0.3)[:, None], action[:, 3:6], arms)",
    ),
    "truth_of_a_number": ("if speed:\n    r = 2.0", "r = np.where(speed != 0, 2.0, r)"),
    "term": (
        'terms = {"a": r, "b": 0.0}\nif speed > 0:\n    terms["b"] = speed\nr = terms["b"]',
        "terms['b'] = np.where(speed > 0, speed, terms['b'])",
    ),
    "early_return": (
        'if height < 0.75:\n    return -5.0, {"r": -5.0}\nif abs(speed) > 0.9:\n'
        '    return -1.0, {"r": -1.0}\nreturn r, {"r": r}',
        "np.where(height < 0.75, -5.0, np.where(abs(speed) > 0.9, -1.0, r))",
    ),
    "return_either": (
        'if speed > 0:\n    return r, {"r": r}\nelse:\n    return -r, {"r": -r}\nreturn r, {}',
        "return (np.where(speed > 0, r, -r), {'r': np.where(speed > 0, r, -r)})",
    ),
    "conditional": ("r = 1.0 if speed > 0 else -0.5", "r = np.where(speed > 0, 1.0, -0.5)"),
    "max": ("r = max(0, speed)", "r = np.maximum(0.0, speed)"),
    "min_of_max": ("r = min(max(speed, 0.0), 0.5)", "r = np.minimum(np.maximum(speed, 0.0), 0.5)"),
    "max_of_three": ("r = max(speed, height, 0)", "np.maximum(np.maximum(speed, height), 0.0)"),
    "max_of_list": ("r = max([speed, height])", "r = np.maximum(speed, height)"),
    "max_of_vector": ("r = max(action)", "r = np.max(action, axis=-1)"),
    "math": ("r = math.exp(-speed ** 2)", "r = np.exp(-speed ** 2)"),
    "math_of_another_name": ("r = math.atan2(speed, height)", "r = np.arctan2(speed, height)"),
    "math_in_a_helper": ("r = bell(speed, 0.4)", "return np.exp(-(x / width) ** 2)"),
    "math_dist": ("r = math.dist(place, action[:3])", "r = np.linalg.norm(place - action[:, :3], "),
    "float": ("r = float(speed)", "r = speed"),
    "float_of_flag": ("r = float(speed > 0)", "r = (speed > 0).astype(np.float64)"),
    "int": ("r = int(speed * 10)", "r = np.trunc(speed * 10)"),
    "round": ("r = round(speed, 1)", "r = np.round(speed, 1)"),
    "bool": ("r = 1.0 * bool(speed > 0)", "r = 1.0 * (speed > 0)"),
    "and": ("r = (speed > 0 and height < 1) * 1.0", "((speed > 0) & (height < 1))"),
    "or": ("r = (speed > 0 or height < 1) * 1.0", "((speed > 0) | (height < 1))"),
    "not": ("r = (not speed > 0) * 1.0", "~(speed > 0) * 1.0"),
    "and_in_if": (
        "if speed > 0 and not height < 1:\n    r = 3.0",
        "r = np.where((speed > 0) & ~(height < 1), 3.0, r)",
    ),
    "chain": ("r = (0.7 < height < 1.2) * 1.0", "((0.7 < height) & (height < 1.2)) * 1.0"),
    "chain_in_if": (
        "if not 0.7 < height <= 1.2:\n    r = 0.0",
        "r = np.where(~((0.7 < height) & (height <= 1.2)), 0.0, r)",
    ),
    "sum": ("r = np.sum(np.square(action))", "r = np.sum(np.square(action), axis=-1)"),
    "method_sum": ("r = np.abs(action).sum()", "r = np.abs(action).sum(axis=-1)"),
    "wrong_axis": ("r = np.mean(action, axis=0)", "r = np.mean(action, axis=-1)"),
    "norm": ("r = np.linalg.norm(place)", "r = np.linalg.norm(place, axis=-1)"),
    "norm_of_order": ("r = np.linalg.norm(place, 1)", "r = np.linalg.norm(place, 1, axis=-1)"),
    "builtin_sum": ("r = sum(action ** 2)", "r = np.sum(action ** 2, axis=-1)"),
    "generator": ("r = sum(abs(a) for a in action)", "r = np.sum(abs(action), axis=-1)"),
    "any": ("r = 1.0 * any(a > 0.5 for a in action)", "np.any(action > 0.5, axis=-1)"),
    "all": ("r = 1.0 * all(a < 0.9 for a in action)", "np.all(action < 0.9, axis=-1)"),
    "list": ("r = np.sum([a ** 2 for a in action])", "np.sum(action ** 2, axis=-1)"),
    "dot": ("r = np.dot(place, place)", "r = np.sum(place * place, axis=-1)"),
    "matrix_product": ("r = action @ action", "r = np.sum(action * action, axis=-1)"),
    "index": ("r = action[0] * 2", "r = action[:, 0] * 2"),
    "last": ("r = action[-1]", "r = action[:, -1]"),
    "slice": ("r = np.sum(action[2:4])", "r = np.sum(action[:, 2:4], axis=-1)"),
    "unpacked": ("x, y, z = place\nr = x + y * z", "x, y, z = place.T"),
    "loop": ("for a in action:\n    r = r + a ** 2", "for a in action.T:"),
    "item": ("r = speed.item()", "r = speed"),
    "if_in_a_loop": (
        "for i in range(3):\n    if action[i] > 0:\n        r = r + 1.0",
        "r = np.where(action[:, i] > 0, r + 1.0, r)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_line_of_the_remedy_pays_what_was_written(name):
    lines, expected = CASES[name]
    source = write_program(lines)
    rewritten, remedies = apply_remedies(source)
    assert any(expected in remedy for remedy in remedies), remedies
    errors = [finding for finding in check(rewritten) if finding.severity == "error"]
    assert not errors, rewritten
    state = make_state(N_SIMS)
    action = np.random.default_rng(1).uniform(-1, 1, (N_SIMS, 6))
    np.testing.assert_allclose(
        pay_at_once(rewritten, state, action), pay_by_rows(source, state, action), rtol=1e-12
    )


STATEMENTS = {
    "while a > math.pi:\n        a -= 2 * math.pi": "`a = wrap_angle(a)`",
    "while i < 3:\n        r = r + 1.0\n        i += 1": "`for i in range(i, 3):`, and delete `i += 1`",
    'print(f"{r}", a.mean())': "`{'r': r, 'a': a}`",
    "try:\n        r = r / a\n    except:\n        r = a": "`except Exception:`",
    "try:\n        r = r / a\n    except ValueError as e:\n        r = a": "`except ValueError:`",
    "with torch.no_grad():\n        r = r": "delete `with torch.no_grad():`",
    "with np.errstate(divide=quiet):\n        r = r": '`with np.errstate(all="ignore"):`',
    "obs[:, 0] = 0.0": "`obs = state.observation.copy()`",
    "action *= 2.0 + 1.0": "`action = action * (2.0 + 1.0)`",
    "next_state.observation[:, 1] = 3.0": "`observation = next_state.observation.copy()`",
    "np.abs(action, out=action)": "`action = np.abs(action)`",
    "r = next_state.height": "fields: ",
    "r = self.robot.torso.linear_velocity": "use the fields of the card",
    "r = next_state.torso_hieght": "did you mean next_state.torso_height?",
}  # fmt: skip


@pytest.mark.parametrize("lines", STATEMENTS)
def test_a_remedy_shows_the_statement_that_was_written(lines):
    head = "    i, a = 0, next_state.torso_pitch\n    obs = state.observation\n    r = a * 2.0\n"
    source = f"{HEAD.split('    speed')[0]}{head}    {lines}\n    return r, {{'r': r}}\n"
    remedies = [item.remedy for item in check(source)]
    assert [text for text in remedies if STATEMENTS[lines] in text], remedies


def test_a_class_becomes_a_dict_of_weights_and_what_it_keeps_a_memory():
    source = """
class Weights:
    speed: float = 1.5

class Reward:
    def __init__(self):
        self.scale = 2.0
        self.before = None

    def pay(self, obs):
        self.before = obs[0]
"""
    told = [item.remedy for item in check(source) if item.message.startswith("class")]
    assert "`Weights = {'speed': 1.5}`, and Weights['speed']" in told[0]
    assert "`Reward = {'scale': 2.0}`" in told[1]
    assert "memory['before'] for self.before" in told[1]


def test_who_writes_a_reward_of_one_step_is_told_where_it_is_taken():
    found = check("def reward(obs, action, next_obs, info):\n    return 1.0\n")
    assert "`design --from FILE`" in found[0].remedy
    found = check("def compute_rewards(state, action, next_state):\n    return 1.0\n")
    assert "--from" not in found[0].remedy
