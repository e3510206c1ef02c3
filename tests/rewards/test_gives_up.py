"""Whatever the checker raises is a finding of the one program, and of nothing else."""

import pytest
from support.rewards import make_card, read_cases

from reward_agent.rewards import checks
from reward_agent.rewards.checks import check_metric, check_program, render_findings
from reward_agent.types import RewardProgram

SOURCE = read_cases("legitimate.txt")[0].source


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError, AssertionError, OSError])
@pytest.mark.parametrize("stage", ["parse_source", "make_context", "_apply_rules", "_rank"])
def test_an_error_at_any_stage_refuses_the_program(monkeypatch, stage, error):
    def fail(*_):
        raise error("deep inside")

    monkeypatch.setattr(checks, stage, fail)
    source = SOURCE if stage != "_rank" else "x = 1"
    for report in (
        check_program(RewardProgram(source), make_card()),
        check_metric(source, make_card()),
    ):
        [finding] = report.findings
        assert (finding.rule, finding.severity) == ("check/gave-up", "error")
        assert error.__name__ in finding.message
        assert render_findings(source, report.findings)


@pytest.mark.parametrize(
    "binding",
    [
        "a = a", "a, b = b, a", "a = b = a", "a = lambda: a", "a = lambda a=a: a", "a = [a for a in a]",
        "a = a.T[a]", "a = (a := a)", "a += a", "a[a] = a", "a: a = a", "a = f'{a}'", "a = '%s' % a",
        "def a(a=a): return a(a)", "for a in a: a = a", "a = {a: a}", "np.add(a, a, out=a)",
        "action = action", "action = state = action", "state = next_state = state", "a = {*a, *{a}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["module", "function"])
def test_self_bound_names_end_every_look_up(binding, place):
    body = "".join(f"    {line}\n" for line in ("a *= 2", "x = a.torso_height", "x = a.sum(out=a)"))
    head = f"def compute_reward(state, action, next_state):\n{body}    return a, {{}}\n"
    before = f"{binding}\n" * 3
    inside = head.replace(
        "    a *= 2", "".join(f"    {binding}\n" for _ in range(3)) + "    a *= 2"
    )
    for check in (lambda text: check_program(RewardProgram(text), make_card()).findings,
                  lambda text: check_metric(text, make_card()).findings):  # fmt: skip
        found = check(before + head if place == "module" else inside)
        assert "check/gave-up" not in [item.rule for item in found]
