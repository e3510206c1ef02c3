"""What the generated reward costs at each step of 64 environments, over a corpus of programs."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measurements import RewardCost, Row
from benchmarks.options import Group, Options, describe_failures
from benchmarks.pool import Call
from reward_agent.errors import DataError

_N_ENVS, _STEPS = 64, 200
_BAR = 3.0  # per cent of a step


def plan(options: Options) -> list[Call]:
    """Return one measurement of all programs in each environment."""
    programs = load_programs(options.corpus) if options.corpus else {}
    arguments: dict[str, Any] = {"n_envs": _N_ENVS, "steps": options.steps or _STEPS}
    return [
        Call("reward_cost.measure_costs", {"env": env, "programs": programs, **arguments})
        for env in options.envs or ("hopper",)
    ]


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return the median share of the reward in a step."""
    costs = [item for item in results if isinstance(item, RewardCost)]
    envs = dict.fromkeys(item.env for item in costs)
    rows = [_make_row(env, [item for item in costs if item.env == env]) for env in envs]
    failures = describe_failures(results)
    return [*rows, Row(name="costs of the reward", note=failures)] if failures else rows


def _make_row(env: str, costs: list[RewardCost]) -> Row:
    shares = tuple(100.0 * item.share for item in costs)
    dearest = max(costs, key=lambda item: item.share)
    return Row(
        name=f"reward's share of a step, {_N_ENVS} envs, {env}, median",
        value=median(shares),
        unit="%",
        bar=f"<= {_BAR}",
        ours=shares,
        note=f"{len(costs)} programs, median {median(c.call_us for c in costs):.0f} us a step; "
        f"dearest {dearest.program}: {dearest.share:.1%}",
    )


def load_programs(path: Path) -> dict[str, str]:
    """Return the programs of a JSON-lines file, by their ids.

    Raises:
        DataError: a line is no object with ``id`` and ``source``.
    """
    programs = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            item = json.loads(line)
            programs[str(item["id"])] = str(item["source"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}:{number} is no program: {error}", 'give {"id": …, "source": …} a line'
            ) from error
    return programs


GROUP = Group(plan, compute)
