"""Programs that are there already: a person's edit, a reference or sparse reward, a file."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.roles import Examination, MetricProposal, Proposal
from reward_agent.errors import DataError, UsageError
from reward_agent.files import find_real, read_text
from reward_agent.llm.provider import ProviderOptions
from reward_agent.records.outcomes import Outcome
from reward_agent.types import Critique, Finding, RewardProgram


def make_designer(options: ProviderOptions) -> GivenDesigner:
    """Return the designer of ``given:<file>``.

    Raises:
        UsageError: no file is named, or it cannot be read.
    """
    if not options.argument:
        raise UsageError("given needs a file", "give --provider given:reward.py")
    path = Path(options.argument)
    try:
        source = read_text(find_real(path))
    except (OSError, DataError) as error:
        raise UsageError(f"cannot read the program {path}: {error}", "check the path") from error
    return GivenDesigner(RewardProgram(source), path.name)


class GivenDesigner:
    """Hands out one program, that of a person; it repairs and revises nothing.

    Args:
        program: the program.
        name: where it comes from.
    """

    max_concurrency = 1
    sees_whole_card = True

    def __init__(self, program: RewardProgram, name: str) -> None:
        self.name = name
        self._program = program

    def propose(self, brief: DesignBrief) -> Proposal:
        """Return the program."""
        return Proposal(self._program, is_final=True)

    def repair(self, brief: DesignBrief, examination: Examination, number: int = 0) -> Proposal:
        """Return the program as it is."""
        return examination.proposal

    def revise(self, brief: DesignBrief, examination: Examination, critique: Critique) -> Proposal:
        """Return the program as it is."""
        return examination.proposal

    def propose_metric(
        self,
        card: EnvCard,
        description: str,
        previous: MetricProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> MetricProposal:
        """Say that there is none."""
        why = f"{self.name} is a reward; give --metric FILE of your own"
        return MetricProposal(None, Outcome(kind="no_metric", detail=why))
