"""The page of a diagnosis: one self-contained file, made of the report's parts."""

from __future__ import annotations

from reward_agent.designers.brief import HistoryEntry
from reward_agent.report.page import make_page
from reward_agent.report.view import CandidateView
from reward_agent.rewards.pay import list_shown
from reward_agent.summary.diagnosis import RewardDiagnosis


def render_diagnosis_page(diagnosis: RewardDiagnosis, entry: HistoryEntry) -> str:
    """Return the page of a diagnosis.

    Args:
        diagnosis: what is said.
        entry: the program with what was measured of it.
    """
    item = CandidateView(entry, number=1, parent=None, is_best=True, folder=".")
    rows = list_shown(diagnosis.probe.behaviours) if diagnosis.probe else []
    return make_page("diagnosis.html.j2", d=diagnosis, item=item, rows=rows)
